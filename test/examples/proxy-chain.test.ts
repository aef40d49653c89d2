/** The interface of proxy-chain, as examples/proxy-chain.ts gives it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import {
  anonymizeProxy,
  type ConnectionStats,
  closeAnonymizedProxy,
  closeTunnel,
  createTunnel,
  listenConnectAnonymizedProxy,
  type PrepareRequestOptions,
  type PrepareRequestResult,
  RequestError,
  Server,
} from '../../examples/proxy-chain.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { until } from '../support/until.ts';

type Prepare = (options: PrepareRequestOptions) => PrepareRequestResult | undefined | Promise<PrepareRequestResult>;

async function serve(prepareRequestFunction?: Prepare) {
  const server = new Server({
    port: 0,
    host: '127.0.0.1',
    authRealm: 'Test Proxy',
    ...(prepareRequestFunction && { prepareRequestFunction }),
  });
  await server.listen();
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.close(true) });
}

async function ask(port: number, request: string): Promise<string> {
  using client = await rawClient(port);
  client.send(request);
  await client.ended();
  return client.text;
}
const get = (url: string, more = ''): string =>
  `GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: close\r\n${more}\r\n`;
const login = (text: string): string => `Proxy-Authorization: Basic ${Buffer.from(text).toString('base64')}\r\n`;

test(
  'prepareRequestFunction gets the request, and may ask for a login with a realm and a text',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('hello')));
    const seen: unknown[] = [];
    await using server = await serve(({ request, username, password, hostname, port, isHttp, connectionId }) => {
      seen.push([request.method, request.headers['x-a'], username, password, hostname, port, isHttp, connectionId]);
      return password === 'p:s%s' ? {} : { requestAuthentication: true, failMsg: 'no entry' };
    });
    const url = `http://${origin.authority}/`;
    const refused = await ask(server.port, get(url, 'X-A: 1\r\n'));
    assert.match(refused, /^HTTP\/1\.1 407 /);
    assert.match(
      refused,
      /\r\nProxy-Authenticate: Basic realm="Test Proxy", charset="UTF-8"\r\n[\s\S]*\r\n\r\nno entry/,
    );
    assert.match(await ask(server.port, get(url, login('ann:p:s%s'))), /hello$/);
    assert.deepEqual(seen, [
      ['GET', '1', '', '', '127.0.0.1', origin.port, true, 1],
      ['GET', undefined, 'ann', 'p:s%s', '127.0.0.1', origin.port, true, 2],
    ]);
    assert.deepEqual(server.stats, { httpRequestCount: 2, connectRequestCount: 0 });
  }),
);

test(
  'a RequestError is the response; any other error is 500 and an event',
  leavesNothing(async () => {
    await using server = await serve(({ hostname }) => {
      if (hostname === 'known.test') throw new RequestError('Known error', 501, { 'X-Why': 'test' });
      throw new Error('unknown');
    });
    const failed: unknown[] = [];
    server.on('requestFailed', ({ error, request }) => failed.push([error.message, request.url]));
    const known = await ask(server.port, get('http://known.test/'));
    assert.match(known, /^HTTP\/1\.1 501 Not Implemented\r\n[\s\S]*X-Why: test\r\n[\s\S]*\r\n\r\nKnown error$/);
    assert.match(await ask(server.port, connectTo('other.test:443')), /^HTTP\/1\.1 500 /);
    assert.deepEqual(failed, [['unknown', 'other.test:443']]);
  }),
);

test(
  'custom responses, for plain requests only, and servers for tunnels',
  leavesNothing(async () => {
    const web = createServer((_request, response) => response.end('of the program'));
    await using server = await serve(({ isHttp, hostname }) =>
      hostname === 'server.test'
        ? { customConnectServer: web }
        : {
            customResponseFunction: async () => ({
              statusCode: 201,
              headers: { 'My-Header': 'x' },
              body: isHttp ? 'custom' : '',
            }),
          },
    );
    const custom = await ask(server.port, get('http://a.test/'));
    assert.match(custom, /^HTTP\/1\.1 201 Created\r\nMy-Header: x\r\n[\s\S]*custom$/);
    assert.match(await ask(server.port, connectTo('a.test:443')), /^HTTP\/1\.1 500 /);
    const inside = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    assert.match(await ask(server.port, connectTo('server.test:80') + inside), /of the program/);
  }),
);

test(
  'upstream proxies get the login of their URL at once, tunnelConnectResponded tells what they answer, and bytes are counted',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen((peer) => {
      void peer.until('\r\n\r\n').then((head) => {
        peer.send(head.startsWith('CONNECT') ? 'HTTP/1.1 200 OK\r\nX-Exit: 192.0.2.7\r\n\r\n' : ok('by proxy'));
      });
    });
    await using server = await serve(() => ({
      upstreamProxyUrl: `http://us%20er:pa%3Ass@${upstream.authority}`,
      customTag: { plan: 'gold' },
    }));
    const responded: unknown[] = [];
    server.on('tunnelConnectResponded', ({ proxyChainId, response, customTag }) =>
      responded.push([proxyChainId, response.statusCode, response.headers['x-exit'], customTag]),
    );
    using client = await rawClient(server.port);
    const request = connectTo('a.test:443');
    client.send(`${request}hello`);
    await (await upstream.connection()).until('hello');
    assert.match(upstream.text, new RegExp(`Proxy-Authorization: Basic ${btoa('us er:pa:ss')}\r\n`));
    assert.deepEqual(responded, [[1, 200, '192.0.2.7', { plan: 'gold' }]]);
    assert.deepEqual(server.getConnectionIds(), [1]);
    await until(() => server.getConnectionStats(1)?.trgTxBytes === upstream.text.length, 'the bytes of the tunnel');
    const closed = once(server, 'connectionClosed');
    server.closeConnection(1);
    await client.ended();
    const [{ connectionId, stats }]: [{ connectionId: number; stats: ConnectionStats }] = (await closed) as never;
    assert.equal(connectionId, 1);
    const head = 'HTTP/1.1 200 OK\r\nX-Exit: 192.0.2.7\r\n\r\n'.length;
    const asked = upstream.text.length;
    assert.deepEqual(stats, {
      srcRxBytes: request.length + 5,
      srcTxBytes: 'HTTP/1.1 200 Connection established\r\n\r\n'.length,
      trgTxBytes: asked,
      trgRxBytes: head,
    });
    assert.deepEqual(server.getConnectionIds(), []);
  }),
);

test(
  'an invalid upstreamProxyUrl is 500',
  leavesNothing(async () => {
    for (const upstreamProxyUrl of ['ftp://a.test', 'nonsense']) {
      await using server = await serve(() => ({ upstreamProxyUrl }));
      const failed = once(server, 'requestFailed');
      assert.match(await ask(server.port, get('http://a.test/')), /^HTTP\/1\.1 500 /);
      assert.match((await failed)[0].error.message, /^Invalid "upstreamProxyUrl" provided/);
    }
  }),
);

test(
  'anonymizeProxy puts a proxy without a login before one with a login, and returns any other URL as it is',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen(
      answering(({ head }) => ok(/authorization/i.test(head) ? 'login' : '')),
    );
    assert.equal(await anonymizeProxy('http://a.test:8080'), 'http://a.test:8080');
    await assert.rejects(anonymizeProxy('ftp://user:pass@a.test'), /Invalid "proxyUrl" provided/);
    const url = await anonymizeProxy(`http://user:pass@${upstream.authority}`);
    assert.equal(
      listenConnectAnonymizedProxy(url, () => undefined),
      true,
    );
    assert.match(await ask(Number(new URL(url).port), get('http://a.test/')), /login$/);
    assert.equal(await closeAnonymizedProxy(url, true), true);
    assert.equal(await closeAnonymizedProxy(url, true), false);
  }),
);

test(
  'createTunnel opens a local port to a far one',
  leavesNothing(async () => {
    await using target = await RawOrigin.listen(echo);
    await using server = await serve();
    await assert.rejects(createTunnel('socks://a', 'a:1'), /must have the "http" or "https" protocol/);
    await assert.rejects(createTunnel('http://a', 'a'), /Missing target port/);
    const address = await createTunnel(`http://127.0.0.1:${server.port}`, target.authority);
    const client = connect(Number(address.split(':')[1]), '127.0.0.1').setEncoding('utf8');
    client.end('through');
    const [text] = await once(client, 'data');
    assert.equal(text, 'through');
    await once(client, 'close');
    assert.equal(await closeTunnel(address, true), true);
    assert.equal(await closeTunnel(address, true), false);
  }),
);
