/** Plain HTTP: connections that are kept and reused, uploads, answers that come early, loops. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { messagesIn } from '../support/http-messages.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { until } from '../support/until.ts';

/** For so long a request that waits for the answer before it must not reach the origin. */
const AHEAD_MS = 30;

const get = (authority: string, path = '/', ...fields: string[]): string =>
  `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;

const post = (authority: string, body: string): string =>
  `POST http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

const statuses = (client: RawPeer): string[] =>
  messagesIn(client.received, { kind: 'response' })
    .filter(({ complete }) => complete)
    .map(({ startLine }) => startLine.split(' ')[1] ?? '');

const answered = (client: RawPeer, count: number): Promise<void> =>
  client.when((peer) => statuses(peer).length >= count, `${count} answers`);

test(
  'requests of one client share one connection with the origin, and so do those of the next client',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('ok')));
    await using proxy = await ProxyUnderTest.start();
    for (let round = 0; round < 2; round++) {
      using client = await proxy.client();
      for (let count = 1; count <= 5; count++) {
        client.send(get(origin.authority));
        await answered(client, count);
      }
    }
    assert.equal(origin.connections.length, 1);
  }),
);

test(
  'requests that a client repeats reach the origin like the first one, and others between them as they were sent',
  leavesNothing(async () => {
    const heads: string[] = [];
    await using origin = await RawOrigin.listen(
      answering(({ startLine, fields }) => {
        heads.push(`${startLine} ${fields.get('x-tag') ?? 'none'}`);
        return ok('ok');
      }),
    );
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    const same = get(origin.authority, '/same', 'X-Tag: 1');
    const sent: readonly (readonly [request: string, head: string])[] = [
      [same, 'GET /same HTTP/1.1 1'],
      [same, 'GET /same HTTP/1.1 1'],
      [get(origin.authority, '/same', 'X-Tag: 2'), 'GET /same HTTP/1.1 2'],
      [same, 'GET /same HTTP/1.1 1'],
      [get(origin.authority, '/samf', 'X-Tag: 1'), 'GET /samf HTTP/1.1 1'],
      [same, 'GET /same HTTP/1.1 1'],
      [post(origin.authority, 'hello'), 'POST / HTTP/1.1 none'],
      [post(origin.authority, 'other'), 'POST / HTTP/1.1 none'],
      [same.replace('GET', 'PUT'), 'PUT /same HTTP/1.1 1'],
      [same, 'GET /same HTTP/1.1 1'],
    ];
    for (const [at, [request]] of sent.entries()) {
      client.send(request);
      await answered(client, at + 1);
    }
    // All at once, and in two pieces at every place.
    client.send(same + same + same);
    await answered(client, sent.length + 3);
    let count = sent.length + 3;
    for (let at = 1; at < same.length; at++) {
      client.send(same.slice(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(same.slice(at));
      count += 1;
      await answered(client, count);
    }
    const expected = [...sent.map(([, head]) => head), ...Array(count - sent.length).fill('GET /same HTTP/1.1 1')];
    assert.deepEqual(heads, expected);
    await proxy.record(count - 1);
    assert.equal(new Set(proxy.records.map(({ id }) => id)).size, count);
    assert.deepEqual(
      proxy.records.filter(({ status, bytesDown }) => status !== 200 || bytesDown !== 2),
      [],
    );
  }),
);

test(
  'an idle connection with the origin is closed when its time is up, and when the origin says anything on it',
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using origin = await RawOrigin.listen(answering(() => ok('ok')));
    await using proxy = await ProxyUnderTest.start({}, { clock });
    using client = await proxy.client();
    client.send(get(origin.authority));
    await answered(client, 1);
    await clock.pass(31_000);
    const first = await origin.connection(0);
    await first.ended();
    client.send(get(origin.authority));
    await answered(client, 2);
    const second = await origin.connection(1);
    second.send('HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 0\r\n\r\n');
    await second.ended();
    client.send(get(origin.authority));
    await answered(client, 3);
    assert.doesNotMatch(client.text, /Poison/);
    assert.equal(origin.connections.length, 3);
  }),
);

/**
 * An origin that closes its connection the moment that a second request arrives on it, as one does whose time is up.
 */
const closesOnReuse =
  (how: 'end' | 'reset') =>
  (peer: RawPeer): void => {
    let requests = 0;
    peer.socket.on('data', () => {
      requests += 1;
      if (requests === 1) peer.send(ok('ok'));
      else peer[how]();
    });
  };

for (const how of ['end', 'reset'] as const) {
  test(
    `a GET on a connection that the origin has just closed (${how}) is sent again, once`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(closesOnReuse(how));
      await using proxy = await ProxyUnderTest.start();
      using client = await proxy.client();
      client.send(get(origin.authority, '/1'));
      await answered(client, 1);
      client.send(get(origin.authority, '/2'));
      await answered(client, 2);
      assert.deepEqual(statuses(client), ['200', '200']);
      assert.equal(origin.connections.length, 2);
      assert.equal(origin.text.split('GET /2 ').length, 3, 'once on each connection');
    }),
  );
}

test(
  'a GET is not sent a third time',
  leavesNothing(async () => {
    let connections = 0;
    await using origin = await RawOrigin.listen((peer) => {
      connections += 1;
      if (connections === 1) closesOnReuse('end')(peer);
      else peer.socket.once('data', () => peer.end());
    });
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(get(origin.authority));
    await answered(client, 1);
    client.send(get(origin.authority));
    await answered(client, 2);
    assert.deepEqual(statuses(client), ['200', '502']);
    assert.equal(connections, 2);
  }),
);

test(
  'a POST is never sent twice: it gets a connection of its own',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(closesOnReuse('end'));
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(get(origin.authority));
    await answered(client, 1);
    client.send(post(origin.authority, 'pay'));
    await answered(client, 2);
    assert.deepEqual(statuses(client), ['200', '200']);
    assert.equal(origin.text.split('POST / ').length, 2);
    assert.equal(origin.connections.length, 2);
  }),
);

test(
  'a POST whose origin closes without an answer is 502, and is not sent again',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) => peer.socket.once('data', () => peer.end()));
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(post(origin.authority, 'pay'));
    await answered(client, 1);
    assert.deepEqual(statuses(client), ['502']);
    assert.equal(origin.connections.length, 1);
  }),
);

test(
  'pipelined requests reach the origin one at a time, and a slow answer keeps its place',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(get(origin.authority, '/slow') + get(origin.authority, '/fast'));
    const upstream = await origin.connection();
    await upstream.until('GET /slow ');
    await wait(AHEAD_MS);
    assert.doesNotMatch(upstream.text, /fast/);
    upstream.send(ok('slow'));
    await upstream.until('GET /fast ');
    upstream.send(ok('fast'));
    await answered(client, 2);
    assert.match(client.text, /slow[\s\S]*fast/);
  }),
);

test(
  'a client that closes behind its request still gets the answer, and one that resets ends it at the origin too',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start();
    using half = await proxy.client();
    half.send(get(origin.authority)).end();
    const first = await origin.connection(0);
    await first.until('\r\n\r\n');
    first.send(ok('answer'));
    await half.until('answer');
    assert.equal(await half.ended(), 'fin');
    using gone = await proxy.client();
    gone.send(get(origin.authority, '/long'));
    const upstream = origin.connections.at(-1) ?? first;
    await upstream.until('GET /long');
    gone.reset();
    await upstream.ended();
    assert.equal((await proxy.record(1)).failure, 'client_gone');
  }),
);

for (const count of [3, 2_000]) {
  test(
    `${count} pipelined requests to the proxy itself are answered, each and in order, though the client has ended`,
    leavesNothing(async () => {
      await using proxy = await ProxyUnderTest.start();
      using client = await proxy.client();
      client.send(`OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1:${proxy.port}\r\n\r\n`.repeat(count)).end();
      assert.equal(await client.ended(), 'fin');
      assert.deepEqual(
        [...client.text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status),
        Array.from({ length: count }, () => '200'),
      );
    }),
  );
}

test(
  'an answer before the end of an upload arrives whole, and the rest of the upload is not taken for a request',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) =>
      peer.socket.once('data', () => peer.send(`HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge`)),
    );
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    const { authority } = origin;
    client.send(`POST http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: 50000000\r\n\r\nfirst`);
    await client.until('large');
    client.send('x'.repeat(1_000_000) + get(authority, '/smuggled'));
    await client.ended();
    assert.match(client.text, /^HTTP\/1\.1 413 [\s\S]*^Connection: close\r$[\s\S]*large$/m);
    assert.doesNotMatch(origin.text, /smuggled/);
    assert.equal((await proxy.record()).status, 413);
  }),
);

test(
  'an answer that comes early and is followed by a reset reaches a client that is still sending, every time',
  { skip: activeRelay('auto') === 'native' ? false : 'sockets of Node drop what they have not read' },
  leavesNothing(async () => {
    // What it has not read makes a reset of its close.
    await using origin = await RawOrigin.listen((peer) =>
      peer.socket.once('data', () => {
        peer.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge');
        peer.socket.destroySoon();
      }),
    );
    await using proxy = await ProxyUnderTest.start();
    for (let time = 0; time < 30; time++) {
      using client = await proxy.client();
      client.send(
        `PUT http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\nContent-Length: 50000000\r\n\r\n`,
      );
      client.socket.write(Buffer.alloc(4_000_000));
      assert.match(await client.until('large'), /^HTTP\/1\.1 413 /);
      assert.equal((await proxy.record()).status, 413);
    }
  }),
);

test(
  'an origin that answers while it still reads gets the whole upload',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) => peer.socket.once('data', () => peer.send(ok('early'))));
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    const { authority } = origin;
    const upload = 'x'.repeat(5_000_000);
    client.send(`POST http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: ${upload.length}\r\n\r\n`);
    await client.until('early');
    client.send(upload);
    const upstream = await origin.connection();
    await upstream.when(({ bytesReceived }) => bytesReceived > upload.length);
    await client.ended();
    assert.equal((await proxy.record()).bytesUp, upload.length);
  }),
);

test(
  'a client that closes in the middle of a download ends it at the origin',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) =>
      peer.socket.once('data', () => {
        peer.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
        const more = () => {
          while (!peer.socket.destroyed && peer.socket.write(Buffer.alloc(100_000)));
        };
        peer.socket.on('drain', more);
        more();
      }),
    );
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(get(origin.authority));
    await client.when(({ bytesReceived }) => bytesReceived > 1_000_000);
    client.socket.destroy();
    await (await origin.connection()).ended();
    const { failure, status } = await proxy.record();
    assert.deepEqual([failure, status], ['client_gone', 200]);
  }),
);

test(
  'a tunnel behind a plain request in one segment: both work, and what is for the tunnel gets there',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering((request) => ok(request.startLine)));
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    const { authority } = origin;
    const tunnel = `CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\nGET /inside HTTP/1.1\r\nHost: x\r\n\r\n`;
    client.send(get(authority, '/before') + tunnel);
    await client.until('GET /inside HTTP/1.1');
    assert.match(client.text, /GET \/before HTTP\/1\.1HTTP\/1\.1 200 Connection established\r\n\r\nHTTP\/1\.1 200 OK/);
  }),
);

test(
  'a message that has been here is a loop; one of another Viaduct is not',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('ok')));
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(get(origin.authority));
    await answered(client, 1);
    const via = /^Via: (.*)\r$/m.exec(client.text)?.[1] ?? '';
    client.send(get(origin.authority, '/', 'Via: 1.1 viaduct-000000000000'));
    await answered(client, 2);
    client.send(get(origin.authority, '/', `Via: 1.0 first, ${via}, 1.1 last`));
    await answered(client, 3);
    assert.deepEqual(statuses(client), ['200', '200', '508']);
    using tunnel = await proxy.client();
    tunnel.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: x\r\nVia: ${via}\r\n\r\n`);
    assert.match(await tunnel.until('proxy_loop_detected'), /^HTTP\/1\.1 508 /);
  }),
);

test(
  'a client between two requests is closed after a minute, inside a head after requestHead with 408',
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using origin = await RawOrigin.listen(answering(() => ok('ok')));
    await using proxy = await ProxyUnderTest.start({ timeouts: { requestHead: '10s' } }, { clock });
    using idle = await proxy.client();
    idle.send(get(origin.authority));
    await answered(idle, 1);
    await proxy.record();
    using silent = await proxy.client();
    using slow = await proxy.client();
    slow.send('GET http://');
    // The proxy accepts clients in their order: with the head of the last one it has all of them.
    await until(() => proxy.proxy.open === 1, 'the proxy has read the head so far');
    await clock.pass(12_000);
    await slow.until('HTTP/1.1 408 Request Timeout');
    await slow.ended();
    await silent.ended();
    assert.equal(silent.bytesReceived, 0);
    assert.equal(idle.ending, 'open');
    await clock.pass(60_000);
    assert.equal(await idle.ended(), 'fin');
  }),
);

test(
  'a head that trickles in without ever standing still ends too',
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using proxy = await ProxyUnderTest.start({ timeouts: { requestHead: '10s' } }, { clock });
    using client = await proxy.client();
    client.send('GET http://a/ HTTP/1.1\r\nX-A: ');
    for (let seconds = 0; client.ending === 'open' && seconds < 200; seconds += 5) {
      client.send('a');
      // Real sockets need real time between two steps of the clock.
      await wait(2);
      await clock.pass(5_000);
    }
    assert.match(client.text, /^HTTP\/1\.1 408 /);
  }),
);

test(
  'an upload that stands still is 408',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start({ timeouts: { requestBody: '200ms' } });
    using client = await proxy.client();
    const { authority } = origin;
    client.send(`POST http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: 10\r\n\r\nhel`);
    assert.match(await client.until('client_too_slow'), /^HTTP\/1\.1 408 /);
    await client.ended();
    await (await origin.connection()).ended();
  }),
);

test(
  'an origin that stops reading an upload is disconnected, and the client gets 504',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) => peer.socket.pause());
    await using proxy = await ProxyUnderTest.start({ timeouts: { requestBody: '300ms' } });
    using client = await proxy.client();
    const { authority } = origin;
    client.send(`POST http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: 50000000\r\n\r\n`);
    client.send(Buffer.alloc(50_000_000));
    assert.match(await client.until('origin_timeout'), /^HTTP\/1\.1 504 /);
    assert.equal((await proxy.record()).failure, 'origin_timeout');
  }),
);
