/** Answers that come over TLS with an upstream proxy, and how that TLS ends (RFC 9112 §9.8). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer, type TLSSocket } from 'node:tls';
import { selfSigned } from '../support/certificate.ts';
import { messagesIn } from '../support/http-messages.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';

const certificate = selfSigned();
type End = 'close_notify' | 'cut';

/** A proxy behind TLS that a test scripts; `cut` closes the transport, and TLS sends no close_notify. */
async function tlsUpstream(serve: (socket: TLSSocket, end: () => void) => void, how: End) {
  const sockets = new Set<Socket>();
  const server = createServer({ ...certificate, allowHalfOpen: true }, (socket) => {
    const end = () => {
      if (how === 'close_notify') return void socket.end();
      for (const one of sockets) one.destroy();
    };
    serve(
      socket.on('error', () => undefined).on('end', () => socket.end()),
      end,
    );
  });
  server.on('connection', (socket: Socket) => sockets.add(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    authority: `localhost:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}

/** Answers the first request with `answer`, and ends. */
const answering = (answer: string) => (socket: TLSSocket, end: () => void) =>
  void socket.once('data', () => socket.write(answer, end));

/** The first hop of a chain: CONNECT is answered by itself, then SOCKS 5, then the request, all on one connection. */
const answeringBehindSocks = (answer: string) => (socket: TLSSocket, end: () => void) =>
  void socket.once('data', () => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    socket.once('data', () => {
      socket.write('\x05\0');
      socket.once('data', () => {
        socket.write('\x05\0\0\x01\x7f\0\0\x01\0\x50', 'latin1');
        socket.once('data', () => socket.write(answer, end));
      });
    });
  });

const BODY = 'x'.repeat(100_000);
const UNTIL_CLOSE = `HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${BODY}`;

async function proxyBy(folder: string, route: string | string[]): Promise<ProxyUnderTest> {
  const ca = join(folder, 'ca.pem');
  writeFileSync(ca, certificate.cert);
  return await ProxyUnderTest.start({ routes: { proxy: [route] }, upstreams: [{ host: 'localhost', ca }] });
}

for (const [way, serve, routeBy] of [
  ['an https: proxy', answering, (first: string) => `https://${first}`],
  [
    'a SOCKS proxy behind an https: proxy',
    answeringBehindSocks,
    (first: string) => [`https://${first}`, 'socks5://behind.test'],
  ],
  [
    'an http: proxy behind an https: proxy',
    (answer: string) => (socket: TLSSocket, end: () => void) =>
      void socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        socket.once('data', () => socket.write(answer, end));
      }),
    (first: string) => [`https://${first}`, 'http://behind.test'],
  ],
] as const) {
  for (const version of ['1.1', '1.0'] as const) {
    test(
      `by ${way}: an answer until close is whole behind close_notify, and an HTTP/${version} client sees it broken without`,
      leavesNothing(async () => {
        using folder = temporaryFolder();
        for (const how of ['close_notify', 'cut'] as const) {
          await using upstream = await tlsUpstream(serve(UNTIL_CLOSE), how);
          await using proxy = await proxyBy(folder.path, routeBy(upstream.authority));
          using client = await proxy.client();
          client.send(`GET http://a.test/ HTTP/${version}\r\nHost: a.test\r\n\r\n`);
          await client.when(({ bytesReceived, ending }) => bytesReceived >= BODY.length || ending !== 'open');
          const ending = version === '1.1' && how === 'close_notify' ? 'open' : await client.ended();
          if (how === 'close_notify' && version === '1.1') await client.until('\r\n0\r\n\r\n');
          const [answer] = messagesIn(client.received, { kind: 'response', ended: ending === 'fin' });
          const record = await proxy.record();
          assert.deepEqual(
            [answer?.complete ?? false, record.failure],
            how === 'close_notify' ? [true, undefined] : [false, 'response_incomplete'],
            `${how}: ${ending}`,
          );
          if (how === 'close_notify') assert.equal(answer?.body.length, BODY.length);
          else if (version === '1.0') assert.equal(ending, 'reset');
        }
      }),
    );
  }
}

test(
  'an answer whose end is known by itself is whole, however its connection ends, and for a client that is slow',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const long = 'y'.repeat(3_000_000);
    for (const answer of [
      `HTTP/1.1 200 OK\r\nContent-Length: ${long.length}\r\n\r\n${long}`,
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${long.length.toString(16)}\r\n${long}\r\n0\r\n\r\n`,
    ]) {
      await using upstream = await tlsUpstream(answering(answer), 'cut');
      await using proxy = await proxyBy(folder.path, `https://${upstream.authority}`);
      using client = await proxy.client();
      client.socket.pause();
      client.send('GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
      client.socket.resume();
      await client.ended();
      const [got] = messagesIn(client.received, { kind: 'response', ended: true });
      assert.deepEqual([got?.complete, got?.body.length], [true, long.length]);
      assert.equal((await proxy.record()).failure, undefined);
    }
  }),
);

test(
  'where TLS lies in TLS the end of the inner one counts',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    for (const how of ['close_notify', 'cut'] as const) {
      await using inner = await tlsUpstream(answering(UNTIL_CLOSE), how);
      const onward = (socket: TLSSocket) =>
        void socket.once('data', () => {
          const next = connect({ port: Number(inner.authority.split(':')[1]), host: '127.0.0.1', allowHalfOpen: true });
          next.on('error', () => socket.destroy());
          socket.on('close', () => next.destroy());
          socket.write('HTTP/1.1 200 OK\r\n\r\n');
          // TLS with the first proxy ends in order in both cases.
          socket.pipe(next).pipe(socket);
        });
      await using outer = await tlsUpstream(onward, 'close_notify');
      await using proxy = await proxyBy(folder.path, [`https://${outer.authority}`, `https://${inner.authority}`]);
      using client = await proxy.client();
      client.send('GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
      const ending = await client.ended();
      const [answer] = messagesIn(client.received, { kind: 'response', ended: ending === 'fin' });
      assert.deepEqual(
        [answer?.complete ?? false, (await proxy.record()).failure],
        how === 'close_notify' ? [true, undefined] : [false, 'response_incomplete'],
      );
    }
  }),
);
