/** `record.wire`: every byte of a plain request on both connections, and none of another one's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type ProxyOptions, type ProxyRecord, startProxy, type WireBytes } from '../../src/index.ts';
import { AuthenticatingProxy, basicJudge } from '../support/authenticating-proxy.ts';
import { selfSigned } from '../support/certificate.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: t\r\n\r\n';

async function started(options: ProxyOptions) {
  const proxy = await startProxy(options);
  const records: ProxyRecord[] = [];
  proxy.on('close', ({ record }) => records.push(record));
  return {
    port: proxy.port,
    records,
    record: async (count: number) => {
      await until(() => records.length === count, `${count} records`);
      return records;
    },
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}

/** What both ends have seen, by direction. */
const seenBy = (client: RawPeer, origin: RawOrigin, sent: string, answered: number): WireBytes => ({
  clientRead: sent.length,
  clientWritten: client.bytesReceived,
  upstreamRead: answered,
  upstreamWritten: origin.connections.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
});

const sumOf = (records: readonly ProxyRecord[]): WireBytes =>
  records.reduce<WireBytes>(
    (sum, { wire }) => {
      assert.ok(wire !== undefined);
      return {
        clientRead: sum.clientRead + wire.clientRead,
        clientWritten: sum.clientWritten + wire.clientWritten,
        upstreamRead: sum.upstreamRead + wire.upstreamRead,
        upstreamWritten: sum.upstreamWritten + wire.upstreamWritten,
      };
    },
    { clientRead: 0, clientWritten: 0, upstreamRead: 0, upstreamWritten: 0 },
  );

for (const [name, options] of [
  ['the sockets of the addon where there are any', {}],
  ['the sockets of Node', { relay: 'portable' }],
  ['TLS', { tls: true }],
] as const) {
  test(
    `the requests of one connection, sent ahead, add up to its bytes; each has its own (${name})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(
        answering(({ startLine }) => (startLine.includes('/chunked') ? CHUNKED : ok('x'.repeat(1_000)))),
      );
      using folder = temporaryFolder();
      const { key, cert } = selfSigned();
      const files = { cert: folder.write('cert.pem', cert), key: folder.write('key.pem', key) };
      const isTls = 'tls' in options;
      await using proxy = await started({
        ...(isTls ? { listen: { url: 'https://127.0.0.1:0', tls: files } } : options),
      });
      using client = isTls
        ? new RawPeer(connectTls({ port: proxy.port, host: '127.0.0.1', rejectUnauthorized: false }))
        : await rawClient(proxy.port);
      const head = (line: string, more = '') => `${line} HTTP/1.1\r\nHost: ${origin.authority}\r\n${more}\r\n`;
      const url = `http://${origin.authority}`;
      const requests = [
        head(`GET ${url}/`),
        `${head(`POST ${url}/chunked`, 'Transfer-Encoding: chunked\r\n')}3;ext\r\nabc\r\n0\r\n\r\n`,
        `${head(`PUT ${url}/`, 'Content-Length: 3\r\n')}abc`,
        head(`GET ${url}/chunked`, 'Connection: close\r\n'),
      ];
      client.send(requests.join(''));
      const records = await proxy.record(requests.length);
      await client.ended();
      const answered = 2 * (CHUNKED.length + ok('x'.repeat(1_000)).length);
      assert.deepEqual(sumOf(records), seenBy(client, origin, requests.join(''), answered));
      assert.deepEqual(
        records.map(({ wire }) => [wire?.clientRead, wire?.upstreamRead]),
        requests.map((text, at) => [text.length, at % 2 === 0 ? ok('x'.repeat(1_000)).length : CHUNKED.length]),
      );
      assert.deepEqual(
        records.map(({ bytesUp, bytesDown }) => [bytesUp, bytesDown]),
        [
          [0, 1_000],
          [3, 5],
          [3, 1_000],
          [0, 5],
        ],
      );
    }),
  );
}

test(
  'the messages of a login at an upstream proxy belong to the request that needed it',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(basicJudge('ann', 'secret'));
    const auth = { preemptive: false };
    const url = upstream.url.replace('//', '//ann:secret@');
    await using proxy = await started({ route: () => [{ url, auth }] });
    using client = await rawClient(proxy.port);
    const request = 'GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
    client.send(request);
    const [record] = await proxy.record(1);
    await client.ended();
    assert.deepEqual([upstream.transcript.at(0), upstream.transcript.at(-1)], ['GET -', 'GET Basic']);
    const asked = upstream.origin.connections.reduce((sum, { socket }) => sum + socket.bytesWritten, 0);
    assert.deepEqual(record?.wire, seenBy(client, upstream.origin, request, asked));
  }),
);

test(
  'what the proxy or a program answers itself counts for the client, and for no upstream',
  leavesNothing(async () => {
    await using proxy = await started({
      authenticate: (ctx) => (ctx.target.host === 'login.test' ? null : ctx.anonymous()),
      authorize: (ctx) => (ctx.target.host === 'denied.test' ? ctx.deny('no') : ctx.allow()),
      respond: () => ({ status: 200, body: 'of the program' }),
    });
    using client = await rawClient(proxy.port);
    const requests = ['login.test', 'denied.test', 'own.test'].map(
      (host) => `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    );
    client.send(requests.join(''));
    const records = await proxy.record(3);
    await client.until('of the program');
    assert.deepEqual(
      records.map(({ status, wire }) => [status, wire?.clientRead, wire?.upstreamRead, wire?.upstreamWritten]),
      requests.map(({ length }, at) => [[407, 403, 200][at], length, 0, 0]),
    );
    assert.equal(sumOf(records).clientWritten, client.bytesReceived);
    using refused = await rawClient(proxy.port);
    const connecting = connectTo('denied.test:443');
    refused.send(`${connecting}early`);
    await refused.ended();
    const [, , , last] = await proxy.record(4);
    assert.deepEqual(last?.wire, {
      clientRead: connecting.length,
      clientWritten: refused.bytesReceived,
      upstreamRead: 0,
      upstreamWritten: 0,
    });
    using failed = await rawClient(proxy.port);
    failed.send(connectTo('127.0.0.1:1'));
    await failed.ended();
    assert.deepEqual([(await proxy.record(5))[4]?.failure, proxy.records[4]?.wire], ['connection_refused', undefined]);
  }),
);

for (const relay of ['auto', 'portable'] as const) {
  test(
    `a 101, and a CONNECT behind another request, count their own heads and what passes (relay ${relay})`,
    leavesNothing(async () => {
      const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';
      await using origin = await RawOrigin.listen((peer) => {
        void peer.until('\r\n\r\n').then(() => peer.send(`${switching}first`));
        void peer.until('bye').then(() => peer.end());
      });
      await using echoing = await RawOrigin.listen(echo);
      await using proxy = await started({
        relay,
        respond: ({ method }) => (method === 'PUT' ? { status: 204 } : undefined),
      });
      using one = await rawClient(proxy.port);
      const upgrade = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`;
      one.send(`${upgrade}early`);
      await one.until('first');
      one.send('bye').end();
      await proxy.record(1);
      await one.ended();
      const answered = `${switching}first`.length;
      assert.deepEqual(proxy.records[0]?.wire, seenBy(one, origin, `${upgrade}earlybye`, answered));

      using two = await rawClient(proxy.port);
      const put = 'PUT http://a.test/ HTTP/1.1\r\nHost: a\r\n\r\n';
      two.send(put);
      await two.until('\r\n\r\n');
      const before = two.bytesReceived;
      const tunnel = connectTo(echoing.authority);
      two.send(`${tunnel}hello`);
      await two.until('hello');
      two.end();
      await proxy.record(3);
      assert.deepEqual(proxy.records[2]?.wire, {
        clientRead: `${tunnel}hello`.length,
        clientWritten: two.bytesReceived - before,
        upstreamRead: 5,
        upstreamWritten: 5,
      });
    }),
  );
}
