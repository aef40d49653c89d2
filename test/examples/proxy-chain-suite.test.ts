/**
 * What the public tests of proxy-chain 3 promise its users, in words of our own, through examples/proxy-chain.ts.
 * docs/FROM-PROXY-CHAIN.md says which of its tests stand here, and what differs.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request as plainRequest, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type RequestOptions, request as tlsRequest } from 'node:https';
import type { Server as NetServer, Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { gzipSync } from 'node:zlib';
import {
  anonymizeProxy,
  type ConnectionStats,
  closeAnonymizedProxy,
  type PrepareRequestOptions,
  type PrepareRequestResult,
  RequestError,
  Server,
} from '../../examples/proxy-chain.ts';
import { startProxy } from '../../src/index.ts';
import { selfSigned } from '../support/certificate.ts';
import { type ForwardProxy, forwardProxy } from '../support/forward-proxy.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { until } from '../support/until.ts';

const CERTIFICATE = selfSigned();
const KINDS = ['http', 'https'] as const;
type Kind = (typeof KINDS)[number];

const BIG = 'a'.repeat(1_000_000);

async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(incoming.url ?? '', 'http://a').pathname;
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  if (path === '/echo') {
    response.setHeader('Content-Type', incoming.headers['content-type'] ?? '').end(Buffer.concat(chunks));
  } else if (path === '/repeating') response.setHeader('Repeating', ['1', '2']).end('Hooray!');
  else if (path === '/big') response.end(BIG);
  else if (path === '/fields') response.end(JSON.stringify(incoming.headers));
  else response.end('Hello world!');
}

async function portOf(server: NetServer, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

interface Answer {
  readonly status: number;
  readonly fields: IncomingMessage['headers'];
  readonly body: string;
}
interface Asked {
  readonly method?: string;
  readonly fields?: Record<string, string>;
  readonly body?: string;
  readonly login?: string | undefined;
}

const basic = (login: string): string => `Basic ${Buffer.from(login).toString('base64')}`;

/** Through a proxy, as clients do: in absolute-form, or over a CONNECT when the target is https. */
async function ask(proxy: Server, url: string, { method = 'GET', fields, body, login }: Asked = {}): Promise<Answer> {
  const target = new URL(url);
  const own = login === undefined ? {} : { 'Proxy-Authorization': basic(login) };
  const common: RequestOptions = { host: '127.0.0.1', port: proxy.port, agent: false, rejectUnauthorized: false };
  const toProxy = proxy.serverType === 'https' ? tlsRequest : plainRequest;
  if (target.protocol === 'http:') {
    const headers = { Host: target.host, Connection: 'close', ...own, ...fields };
    return await answerOf(toProxy({ ...common, method, path: url, headers }).end(body));
  }
  const authority = `${target.hostname}:${target.port || 443}`;
  const connecting = toProxy({ ...common, method: 'CONNECT', path: authority, headers: { Host: authority, ...own } });
  const [response, socket]: [IncomingMessage, Socket] = (await once(connecting.end(), 'connect')) as never;
  if (response.statusCode !== 200) {
    socket.destroy();
    return { status: response.statusCode ?? 0, fields: response.headers, body: '' };
  }
  const inside = connectTls({ socket, rejectUnauthorized: false });
  const headers = { Host: target.host, Connection: 'close', ...fields };
  const path = target.pathname + target.search;
  return await answerOf(plainRequest({ method, path, headers, createConnection: () => inside }).end(body));
}

async function answerOf(asking: ReturnType<typeof plainRequest>): Promise<Answer> {
  const [response]: [IncomingMessage] = (await once(asking, 'response')) as never;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode ?? 0, fields: response.headers, body: Buffer.concat(chunks).toString() };
}

type Prepare = (options: PrepareRequestOptions) => PrepareRequestResult | undefined | Promise<PrepareRequestResult>;

async function start(kind: Kind, prepare?: Prepare) {
  const server = new Server({
    port: 0,
    host: '127.0.0.1',
    authRealm: 'Test Proxy',
    serverType: kind,
    ...(kind === 'https' && { httpsOptions: CERTIFICATE }),
    ...(prepare && { prepareRequestFunction: prepare }),
  });
  await server.listen();
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.close(true) });
}

const targets: Record<Kind, string> = { http: '', https: '' };
let upstream: ForwardProxy;
const [plain, secure] = [createServer(serve), createTlsServer(CERTIFICATE, serve)];
before(async () => {
  targets.http = `http://127.0.0.1:${await portOf(plain)}`;
  targets.https = `https://127.0.0.1:${await portOf(secure)}`;
  upstream = await forwardProxy();
});
after(async () => {
  await upstream[Symbol.asyncDispose]();
  for (const server of [plain, secure]) server.close().closeAllConnections();
});

/** Of the client: none, both, a name alone, a password alone. */
const LOGINS = [undefined, 'user1:pass1', 'user2:', ':pass3'];
/** Of the upstream proxy: there is none, it requires none, a name alone, or characters that a URL has to encode. */
const UPSTREAMS = ['none', undefined, 'userA:', 'us%erB:p$as%sA'];

const encoded = (login: string): string => login.split(':').map(encodeURIComponent).join(':');

for (const kind of KINDS) {
  for (const to of KINDS) {
    test(`${kind} clients reach ${to} targets with every kind of login, directly and through an upstream proxy`, async () => {
      let login: string | undefined;
      let upstreamLogin: string | undefined;
      let turn = 0;
      const closed: number[] = [];
      await using server = await start(kind, ({ username, password, hostname }) => {
        if (hostname === 'throws.test') throw new Error('of the program');
        if (hostname === 'refuses.test') throw new RequestError('known', 501);
        const mustLogIn = login !== undefined && `${username}:${password}` !== login;
        const at = upstreamLogin === undefined ? '' : `${encoded(upstreamLogin)}@`;
        const result: PrepareRequestResult = mustLogIn
          ? { requestAuthentication: true, upstreamProxyUrl: 'http://not-asked.invalid:6789' }
          : { upstreamProxyUrl: upstreamLogin === 'none' ? null : `http://${at}127.0.0.1:${upstream.port}` };
        turn += 1;
        return turn % 2 === 0 ? result : Promise.resolve(result);
      });
      server.on('connectionClosed', ({ connectionId }) => {
        assert.ok(server.getConnectionIds().includes(connectionId));
        closed.push(connectionId);
      });
      for (login of LOGINS) {
        for (upstreamLogin of UPSTREAMS) {
          upstream.login = upstreamLogin;
          const before = upstream.requests;
          const get = (path: string, more: Asked = {}) => ask(server, targets[to] + path, { login, ...more });
          const what = `${login} through ${upstreamLogin}`;
          for (const method of ['GET', 'POST', 'PUT', 'DELETE'])
            assert.deepEqual((await get('/', { method })).body, 'Hello world!', `${method} ${what}`);
          const echo = { body: 'SOME BODY', fields: { 'Content-Type': 'text/my-test' } };
          for (const method of ['POST', 'PUT', 'PATCH']) {
            const { status, fields, body } = await get('/echo', { method, ...echo });
            assert.deepEqual([status, fields['content-type'], body], [200, 'text/my-test', echo.body], what);
          }
          assert.equal((await get('/repeating')).fields.repeating, '1, 2', what);
          const sent = { 'X-Test': 'value', TE: 'MyTest', Authorization: basic('john.doe$:Passwd$') };
          const { body } = await get('/fields', { fields: sent });
          const { 'x-test': own, te, authorization, 'proxy-authorization': secret } = JSON.parse(body);
          assert.deepEqual(
            [own, te, authorization, secret],
            ['value', to === 'https' ? 'MyTest' : undefined, sent.Authorization, undefined],
            what,
          );
          assert.equal(upstream.requests - before, upstreamLogin === 'none' ? 0 : 9, what);
        }
        assert.equal((await ask(server, `${targets[to]}/big`, { login })).body, BIG);
        for (const [host, status] of [
          ['throws', 500],
          ['refuses', 501],
        ] as const) {
          const answer = await ask(server, `${to}://${host}.test/`, { login });
          assert.equal(answer.status, status);
          if (to === 'http') assert.equal(answer.fields['content-type'], 'text/plain; charset=utf-8');
        }
        if (login === undefined) continue;
        for (const wrong of [undefined, 'bad:pass1', 'user1:bad', 'bad:bad']) {
          const { status, fields } = await ask(server, targets[to], { login: wrong });
          assert.equal(status, 407);
          assert.match(fields['proxy-authenticate'] ?? '', /^Basic realm="Test Proxy"/);
        }
      }
      await until(() => server.getConnectionIds().length === 0, 'all connections have ended');
      assert.equal(new Set(closed).size, closed.length);
    });
  }

  test(`custom responses to ${kind} clients: compressed, with status and fields, 5 MB with their length, later; else 500`, async () => {
    await using server = await start(kind, ({ request, hostname, port }) => {
      if (hostname === 'none.test') return { customResponseFunction: 'no function' as never };
      return {
        customResponseFunction: async () => {
          if (hostname === 'zip.test')
            return { headers: { 'Content-Encoding': 'gzip' }, body: gzipSync('Hello, world!') };
          if (hostname === 'long.test') return { body: 'X'.repeat(5_000_000) };
          return { statusCode: 201, headers: { 'My-Header': 'bla' }, body: `${request.url} at ${port}` };
        },
      };
    });
    const url = 'http://full.test:1234/some/path?query=456';
    const { status, fields, body } = await ask(server, url);
    assert.deepEqual([status, fields['my-header'], body], [201, 'bla', `${url} at 1234`]);
    const zipped = await ask(server, 'http://zip.test/');
    assert.deepEqual([zipped.status, zipped.fields['content-encoding']], [200, 'gzip']);
    const long = await ask(server, 'http://long.test/');
    assert.deepEqual([long.fields['content-length'], long.body.length], ['5000000', 5_000_000]);
    for (const refused of ['http://none.test/', 'https://full.test/'])
      assert.equal((await ask(server, refused)).status, 500, refused);
  });

  test(`curl as ${kind} client gets a page, and with a wrong login the reason`, { skip: missing('curl') }, async () => {
    await using server = await start(kind, ({ password }) => ({ requestAuthentication: password !== 'pass1' }));
    const curl = (login: string, url: string, ...more: string[]) =>
      run('curl', ['-sS', '-k', '--proxy-insecure', ...more, '-x', `${kind}://${login}@127.0.0.1:${server.port}`, url]);
    for (const to of KINDS) assert.equal((await curl('user1:pass1', targets[to])).out, 'Hello world!');
    assert.match((await curl('bad:bad', targets.http)).out, /Proxy credentials required/);
    assert.match((await curl('bad:bad', targets.https)).err, /response 407|HTTP code 407/);
  });
}

test('a name without a colon is a login without a password', async () => {
  await using server = await start('http', ({ username, password }) => ({
    requestAuthentication: username !== 'nopassword' || password !== '',
  }));
  assert.equal((await ask(server, targets.http, { login: 'nopassword' })).status, 200);
  assert.equal((await ask(server, targets.http, { login: 'other' })).status, 407);
});

test('what proxy-chain gives a status of its own is 400, 500 or 502 here', async () => {
  await using odd = await RawOrigin.listen((peer) => void peer.send('HTTP/1.1 x \r\n\r\n').end());
  await using refusing = await RawOrigin.listen(answering(() => 'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n'));
  const upstreams: Readonly<Record<string, string>> = {
    'scheme.test': 'ftp://proxy.example:8000',
    'url.test': '    ',
    'colon.test': 'http://us%3Aer:pass@proxy.example:8000',
    'unknown.test': 'http://proxy.invalid:1234',
    'refused.test': `http://${refusing.authority}`,
    'login.test': `http://invalid:credentials@127.0.0.1:${upstream.port}`,
  };
  const unknown = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  await using server = await start('http', ({ hostname }) => ({
    upstreamProxyUrl: upstreams[hostname] ?? null,
    dnsLookup: (_host, _options, done) => done(unknown, ''),
  }));
  upstream.login = 'userA:right';
  const statuses: Record<string, number> = {};
  for (const host of Object.keys(upstreams)) statuses[host] = (await ask(server, `https://${host}/`)).status;
  statuses.odd = (await ask(server, `http://${odd.authority}/`)).status;
  statuses.noAddress = (await ask(server, 'http://no-address.invalid/')).status;
  using client = await rawClient(server.port);
  client.send('CONNECT :443 HTTP/1.1\r\nHost: :443\r\n\r\n');
  statuses.noHost = Number((await client.until('\r\n\r\n')).split(' ')[1]);
  assert.deepEqual(statuses, {
    'scheme.test': 500,
    'url.test': 500,
    'colon.test': 502,
    'unknown.test': 502,
    'refused.test': 502,
    'login.test': 502,
    odd: 502,
    noAddress: 502,
    noHost: 400,
  });
});

test('upstream proxies and targets may have IPv6 addresses', async () => {
  await using six = await forwardProxy('::1');
  const target = createServer(serve);
  const url = `http://[::1]:${await portOf(target, '::1')}/`;
  let upstreamProxyUrl: string | null = null;
  await using server = await start('http', () => ({ upstreamProxyUrl }));
  assert.equal((await ask(server, url)).body, 'Hello world!');
  upstreamProxyUrl = `http://[::1]:${six.port}`;
  assert.equal((await ask(server, targets.http)).body, 'Hello world!');
  assert.equal(six.requests, 1);
  target.close().closeAllConnections();
});

test('socks:// upstream proxies, with a login and without, also behind anonymizeProxy', async () => {
  let isOpen = true;
  await using socks = await startProxy({
    listen: 'socks5://127.0.0.1:0',
    authenticate: (ctx) =>
      isOpen ? ctx.anonymous() : ctx.username === 'proxy-ch@in' && ctx.password === 'rules!' ? { id: 'user' } : null,
  });
  let upstreamProxyUrl = `socks://127.0.0.1:${socks.port}`;
  await using server = await start('http', () => ({ upstreamProxyUrl }));
  assert.equal((await ask(server, targets.https)).body, 'Hello world!');
  isOpen = false;
  assert.equal((await ask(server, targets.https)).status, 502);
  upstreamProxyUrl = `socks://proxy-ch@in:rules!@127.0.0.1:${socks.port}`;
  for (const to of KINDS) assert.equal((await ask(server, targets[to])).body, 'Hello world!');
  const own = await anonymizeProxy(upstreamProxyUrl);
  const { port } = new URL(own);
  using client = await rawClient(Number(port));
  client.send(`GET ${targets.http}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  await client.until('Hello world!');
  assert.equal(await closeAnonymizedProxy(own, true), true);
});

test('a target that never answers is left when its client leaves, and when the server is closed', async () => {
  await using target = await RawOrigin.listen(() => undefined);
  const server = await start('http');
  for (const [at, leave] of (['client', 'server'] as const).entries()) {
    using client = await rawClient(server.port);
    client.send(`GET http://${target.authority}/ HTTP/1.1\r\nHost: a\r\n\r\n`);
    const outbound = await target.connection(at);
    await outbound.until('\r\n\r\n');
    if (leave === 'client') client.socket.resetAndDestroy();
    else await server.close(true);
    await outbound.ended();
  }
});

test('requests through an upstream proxy, one after the other, share a connection', async () => {
  await using proxy = await forwardProxy();
  await using server = await start('http', () => ({ upstreamProxyUrl: `http://127.0.0.1:${proxy.port}` }));
  for (const _ of [1, 2, 3]) assert.equal((await ask(server, targets.http)).status, 200);
  assert.deepEqual([proxy.requests, proxy.connections], [3, 1]);
});

test('twenty requests that are sent ahead on one connection get twenty responses, in their order', async () => {
  await using origin = await RawOrigin.listen(answering(({ startLine }) => ok(startLine)));
  await using server = await start('http');
  using client = await rawClient(server.port);
  const paths = Array.from({ length: 20 }, (_, at) => `/at${at}/`);
  client.send(paths.map((path) => `GET http://${origin.authority}${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
  await client.until('/at19/');
  assert.deepEqual(client.text.match(/\/at\d+\//g), paths);
});

test('a 101 opens the connection for the other protocol, over a CONNECT too', async () => {
  await using origin = await RawOrigin.listen((peer) => {
    void peer.until('\r\n\r\n').then(() => {
      peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      void peer.until('hello').then(() => peer.send('I received: hello'));
    });
  });
  await using server = await start('http');
  const upgrade = 'HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  using plain = await rawClient(server.port);
  plain.send(`GET http://${origin.authority}/ ${upgrade}`);
  await plain.until('101 Switching Protocols');
  plain.send('hello');
  await plain.until('I received: hello');
  using tunnel = await rawClient(server.port);
  tunnel.send(`${connectTo(origin.authority)}GET / ${upgrade}`);
  await tunnel.until('101 Switching Protocols');
  tunnel.send('hello');
  await tunnel.until('I received: hello');
});

const OLD_TLS = { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;

test('failed TLS handshakes are events, leave nothing, and others are served on', async () => {
  await using server = await start('https');
  const errors: { code: string }[] = [];
  const closed: unknown[] = [];
  server.on('tlsError', ({ error }) => errors.push(error));
  server.on('connectionClosed', (event) => closed.push(event));
  for (let at = 0; at < 10; at++) {
    const bad = connectTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...OLD_TLS });
    await new Promise((resolve) => bad.on('error', () => undefined).once('close', resolve));
  }
  await until(() => errors.length === 10 && closed.length === 10, 'ten errors');
  assert.match(errors[0]?.code ?? '', /^ERR_SSL_/);
  assert.deepEqual(server.getConnectionIds(), []);
  assert.equal((await ask(server, targets.https)).body, 'Hello world!');
});

test('over one TLS connection three requests are one connection of one id, which ends with it', async () => {
  await using server = await start('https');
  const closed: { connectionId: number; stats: ConnectionStats }[] = [];
  server.on('connectionClosed', (event) => closed.push(event));
  const socket = connectTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false });
  let text = '';
  socket.setEncoding('latin1').on('data', (more: string) => {
    text += more;
  });
  const request = `GET ${targets.http}/ HTTP/1.1\r\nHost: a\r\n\r\n`;
  for (const count of [1, 2, 3]) {
    socket.write(request);
    await until(() => text.split('Hello world!').length === count + 1, `response ${count}`);
    assert.deepEqual(server.getConnectionIds(), [1]);
  }
  socket.destroy();
  await until(() => closed.length === 1, 'the end');
  assert.deepEqual(server.getConnectionIds(), []);
  const { srcRxBytes, srcTxBytes } = closed[0]?.stats ?? assert.fail();
  assert.deepEqual([srcRxBytes, srcTxBytes], [3 * request.length, text.length]);
});

test('a hundred requests at once over TLS are all answered, and the bytes of each connection are exact', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('Hello world!')));
  await using server = await start('https');
  const stats: ConnectionStats[] = [];
  server.on('connectionClosed', (event) => stats.push(event.stats));
  const url = `http://${origin.authority}/`;
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(server, url)));
  assert.ok(answers.every(({ status, body }) => status === 200 && body === 'Hello world!'));
  await until(() => stats.length === 100, 'a hundred ends');
  const sums = stats.reduce((sum, one) => ({
    srcTxBytes: sum.srcTxBytes + one.srcTxBytes,
    srcRxBytes: sum.srcRxBytes + one.srcRxBytes,
    trgTxBytes: (sum.trgTxBytes ?? 0) + (one.trgTxBytes ?? 0),
    trgRxBytes: (sum.trgRxBytes ?? 0) + (one.trgRxBytes ?? 0),
  }));
  const asked = `GET ${url} HTTP/1.1\r\nHost: ${origin.authority}\r\nConnection: close\r\n\r\n`.length;
  assert.equal(sums.srcRxBytes, 100 * asked);
  assert.equal(sums.trgRxBytes, 100 * ok('Hello world!').length);
  assert.equal(
    sums.trgTxBytes,
    origin.connections.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
  );
  assert.equal(new Set(stats.map((one) => JSON.stringify(one))).size, 1);
});

test('Server: http unless an option says otherwise, and https with a certificate alone', () => {
  assert.equal(new Server({ port: 0 }).serverType, 'http');
  assert.throws(() => new Server({ serverType: 'https' }), /httpsOptions is required when serverType is "https"/);
});
