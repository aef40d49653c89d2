/**
 * The whole proxy behind others: tunnels by every kind of upstream proxy, loops that pass through them, and the
 * library.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp, get } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { resolveOptions } from '../../src/config/schema.ts';
import {
  agentsVia,
  connectVia,
  fetchVia,
  type ProxyOptions,
  type ProxyRecord,
  type RouteChoice,
  startProxy,
  type ViaductProxy,
} from '../../src/index.ts';
import { selfSigned } from '../support/certificate.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { rawClient } from '../support/raw-client.ts';

const certificate = selfSigned();

/** Node's own HTTP server as an upstream proxy, in the clear or over TLS: CONNECT, and heads as it read them. */
class NodeUpstream implements AsyncDisposable {
  readonly url: string;
  readonly targets: string[] = [];
  readonly vias: (string | undefined)[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, scheme: 'http' | 'https') {
    this.#server = server;
    this.url = `${scheme}://localhost:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket: Socket) => this.#keep(socket));
    server.on('connect', ({ url = '', headers }: { url?: string; headers: { via?: string } }, client: Socket) => {
      this.targets.push(url);
      this.vias.push(headers.via);
      const { hostname, port } = new URL(`http://${url}`);
      const upstream = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), allowHalfOpen: true });
      this.#keep(upstream);
      client.on('error', () => upstream.destroy());
      upstream.on('error', () => client.destroy());
      upstream.on('connect', () => {
        client.write('HTTP/1.1 200 Fine\r\nContent-Length: 7\r\n\r\n');
        client.pipe(upstream).pipe(client);
      });
    });
  }

  static async open(scheme: 'http' | 'https'): Promise<NodeUpstream> {
    const server = scheme === 'http' ? createHttp() : createTls({ ...certificate, allowHalfOpen: true });
    server.listen(0, 'localhost');
    await once(server, 'listening');
    return new NodeUpstream(server, scheme);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

const proxyTls = { ca: certificate.cert };
const CHAINS: readonly (readonly ('http' | 'https')[])[] = [
  ['http'],
  ['https'],
  ['http', 'https'],
  ['https', 'https', 'http'],
];
for (const kinds of CHAINS) {
  test(
    `${kinds.join(', then ')}: bytes of both sides arrive, the early ones too, and either may end first`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen((peer) => {
        peer.send('first ');
        echo(peer);
      });
      const upstreamProxies: NodeUpstream[] = [];
      for (const kind of kinds) upstreamProxies.push(await NodeUpstream.open(kind));
      const route = upstreamProxies.map(({ url }) => url);
      const socket = await connectVia(route, origin.authority, { proxyTls });
      socket.end('second');
      let text = '';
      for await (const chunk of socket) text += chunk;
      assert.equal(text, 'first second');
      assert.deepEqual(
        upstreamProxies.map(({ targets }) => targets),
        [...route.slice(1).map((url) => [new URL(url).host]), [origin.authority]],
      );
      for (const upstreamProxy of upstreamProxies) await upstreamProxy[Symbol.asyncDispose]();
    }),
  );
}

test(
  'a socket of connectVia begins to flow when a listener for its data is added, by every route',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) => void peer.send('hello').end());
    await using plain = await NodeUpstream.open('http');
    await using tls = await NodeUpstream.open('https');
    const routes: readonly RouteChoice[] = ['direct', plain.url, new URL(tls.url), [tls.url, plain.url]];
    for (const route of routes) {
      const socket = await connectVia(route, origin.authority, { proxyTls });
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      await once(socket, 'end');
      socket.destroy();
      assert.equal(text, 'hello', String(route));
    }
  }),
);

test(
  'fetchVia and agentsVia go along chains, in tunnels where all is asked for',
  leavesNothing(async () => {
    const origin = createHttp((request, response) => response.end(`you asked for ${request.url}`)).listen(
      0,
      '127.0.0.1',
    );
    await once(origin, 'listening');
    const { port } = origin.address() as AddressInfo;
    await using plain = await NodeUpstream.open('http');
    await using tls = await NodeUpstream.open('https');
    const route = [plain.url, tls.url];
    {
      await using fetch = fetchVia(route, { proxyTls, tunnel: 'all' });
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/a`)).text(), 'you asked for /a');
      await nextTurn();
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/b`)).text(), 'you asked for /b');
    }
    const { httpAgent, httpsAgent } = agentsVia(route, { proxyTls, tunnel: 'all' });
    const [response] = await once(get({ host: '127.0.0.1', port, path: '/c', agent: httpAgent }), 'response');
    let text = '';
    for await (const chunk of response) text += chunk;
    assert.equal(text, 'you asked for /c');
    assert.deepEqual(tls.targets, [`127.0.0.1:${port}`, `127.0.0.1:${port}`], 'connections are kept alive');
    httpAgent.destroy();
    httpsAgent.destroy();
    origin.close();
    await once(origin, 'close');
  }),
);

test('an invalid route is reported as such, without its password', async () => {
  for (const route of ['ftp://me:secret@a.test', 'PROXY a:1; DIRECT', [], ['direct', 'http://a.test']]) {
    await assert.rejects(connectVia(route, 'a.test:1'), (error: Error) => {
      assert.match(error.message, /^\[no_route\]/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
  assert.throws(() => fetchVia('ftp://a.test'), { code: 'no_route' });
});

test('connectVia sends no line that is in a name', async () => {
  await using upstreamProxy = await RawOrigin.listen();
  const url = `http://${upstreamProxy.authority}`;
  await assert.rejects(connectVia(url, { host: 'a.test\r\nX: y', port: 1 }), { code: 'bad_request' });
  assert.equal(upstreamProxy.connections.length, 0);
});

/** A proxy, and the account of its first request. */
async function proxyOf(options: ProxyOptions) {
  const proxy = await startProxy(options);
  const ended = new Promise<ProxyRecord>((resolve) => proxy.once('close', ({ record }) => resolve(record)));
  return { proxy, ended };
}

test('a tunnel through an upstream proxy carries our Via behind the client’s', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using upstreamProxy = await NodeUpstream.open('http');
  await using proxy = await startProxy({ route: () => upstreamProxy.url });
  using client = await rawClient(Number(new URL(proxy.url).port));
  client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: ${origin.authority}\r\nVia: 1.0 fred\r\n\r\nearly`);
  assert.match(await client.until('early'), /^HTTP\/1\.1 200 Connection established\r\n\r\nearly$/);
  assert.match(upstreamProxy.vias.join(), /^1\.0 fred, 1\.1 viaduct-[0-9a-f]{12}$/);
});

test('a proxy that names itself as its upstream proxy is 508, without a storm', async () => {
  const { proxy, ended } = await proxyOf({ route: () => proxy.url });
  await assert.rejects(connectVia(proxy.url, 'a.test:443'), { clientDetail: 'It responded with 508.' });
  assert.equal((await ended).failure, 'loop_detected');
  await proxy.close();
});

test('two proxies that name each other end in 508 after one round', async () => {
  let requests = 0;
  await using first = await startProxy({ route: () => second.url });
  await using second: ViaductProxy = await startProxy({ route: () => first.url });
  for (const proxy of [first, second]) proxy.on('request', () => requests++);
  await assert.rejects(connectVia(first.url, 'a.test:443'), { code: 'loop_detected' });
  assert.equal(requests, 3);
  using client = await rawClient(Number(new URL(first.url).port));
  client.send('GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n');
  await client.until(/^HTTP\/1\.1 508 [\s\S]*\r\n\r\n/);
  assert.equal(requests, 6);
});

test('what an upstream proxy answers to CONNECT is not passed on, and its name is reported', async () => {
  await using upstreamProxy = await RawOrigin.listen(
    answering(() => 'HTTP/1.1 403 <script>\r\nContent-Length: 8\r\nSet-Cookie: a=b\r\n\r\n<script>'),
  );
  await using proxy = await ProxyUnderTest.start({ routes: { proxy: [`http://${upstreamProxy.authority}`] } });
  using client = await proxy.client();
  client.send('CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n');
  await client.ended();
  assert.match(
    client.text,
    /^HTTP\/1\.1 502 upstream_refused: the upstream proxy refused to connect to a\.test:443\r\n/,
  );
  assert.match(client.text, /\r\nProxy-Status: viaduct; error=http_request_denied\r\n/);
  assert.match(client.text, /The upstream proxy refused to connect\. It responded with 403\./);
  assert.doesNotMatch(client.text, /script|Cookie/i);
  assert.equal((await proxy.record()).failure, 'upstream_refused');
});

test('plain requests by a SOCKS upstream proxy reach the origin in origin-form', async () => {
  await using origin = await RawOrigin.listen(answering(({ startLine }) => ok(startLine)));
  await using upstreamProxy = await RawOrigin.listen((peer) => {
    peer.socket.once('data', () => {
      peer.send('\x05\0');
      peer.socket.once('data', () => {
        peer.send('\x05\0\0\x01\x7f\0\0\x01\0\x50');
        const onward = connect({ port: origin.port, host: '127.0.0.1' });
        peer.socket.pipe(onward).pipe(peer.socket);
        onward.on('error', () => undefined);
      });
    });
  });
  await using proxy = await ProxyUnderTest.start({ routes: { proxy: [`socks5://${upstreamProxy.authority}`] } });
  using client = await proxy.client();
  client.send('GET http://far.test/page?q HTTP/1.1\r\nHost: far.test\r\nConnection: close\r\n\r\n');
  assert.match(await client.until('GET '), /\r\n\r\nGET \/page\?q HTTP\/1\.1$/);
});

test(
  'a chain that comes back to this proxy ends in one 508, which the proxies between pass on',
  leavesNothing(async () => {
    await using between = await ProxyUnderTest.start();
    await using proxy = await ProxyUnderTest.start();
    const chain = [`http://127.0.0.1:${between.port}`, `http://127.0.0.1:${proxy.port}`];
    const listen = 'http://127.0.0.1:0';
    await proxy.proxy.reload(resolveOptions({ listen, log: { format: 'off' }, routes: { proxy: [chain] } }));
    for (const head of [
      'CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443',
      'GET http://far.example/ HTTP/1.1\r\nHost: far.example',
    ]) {
      using client = await proxy.client();
      client.send(`${head}\r\nConnection: close\r\n\r\n`);
      await client.until('\r\n\r\n');
      assert.match(client.text, /^HTTP\/1\.1 508 /);
      await client.ended();
    }
    assert.equal(proxy.records.length, 4);
  }),
);
