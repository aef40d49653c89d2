/**
 * How a connection ends: every byte is sent before it does, none of its bytes reach another client, and no peer waits
 * in vain.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { ListenError } from '../../src/clients/listening.ts';
import { resolveOptions } from '../../src/config/schema.ts';
import { viaduct } from '../support/cli.ts';
import { messagesIn } from '../support/http-messages.ts';
import { isConnected } from '../support/kernel.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { untilSteady } from '../support/steady.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const get = (authority: string, path = '/', ...fields: string[]): string =>
  `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;

const responses = (client: RawPeer) =>
  messagesIn(client.received, { kind: 'response', ended: client.ending === 'fin' }).filter(({ complete }) => complete);

const answered = (client: RawPeer, count: number): Promise<void> =>
  client.when((peer) => responses(peer).length >= count, `${count} answers`);

/** Rejects when it takes longer. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = new AbortController();
  try {
    return await Promise.race([
      promise,
      wait(ms, undefined, { signal: late.signal }).then(() => assert.fail(`not within ${ms} ms`)),
    ]);
  } finally {
    late.abort();
  }
}

/** A program cannot ask how much the kernels hold: they are full when nothing has moved for 100 ms. */
const settled = (measure: () => number): Promise<number> => untilSteady(measure, 100, 'what the kernels take');

/** Small enough that the bytes written show how far the other side has read. */
const PIECE = Buffer.alloc(16_384, 'G');

/** Sends `bytes` in pieces and then `last`, never further ahead than the socket asks for. */
async function sendSlowly({ socket }: RawPeer, bytes: number, { piece = PIECE, last = '' } = {}): Promise<void> {
  for (let left = bytes; left > 0 && !socket.destroyed; left -= piece.length) {
    if (!socket.write(piece.subarray(0, Math.min(left, piece.length)))) {
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
    }
  }
  if (!socket.destroyed) socket.write(last);
}

const bytesWritten = ({ connections }: RawOrigin): number =>
  connections.reduce((sum, { socket }) => sum + socket.bytesWritten, 0);

test(
  'what a client goes on sending behind an early answer never lands in the download of another',
  leavesNothing(async () => {
    const sentBefore = 3_000_000;
    await using refusing = await RawOrigin.listen((peer) => {
      const refuse = (): void => {
        if (peer.bytesReceived < sentBefore) return;
        peer.socket.off('data', refuse);
        peer.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
      };
      peer.socket.on('data', refuse);
    });
    await using serving = await RawOrigin.listen((peer) => {
      peer.socket.once('data', () => {
        peer.send('HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n');
        void sendSlowly(peer, 20_000_000);
      });
    });
    await using proxy = await ProxyUnderTest.start();
    using uploader = await proxy.client();
    uploader.send(`POST http://${refusing.authority}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000000\r\n\r\n`);
    uploader.send(Buffer.alloc(sentBefore, 'X'));
    assert.match(await uploader.until('\r\n\r\n'), /^HTTP\/1\.1 413 /);

    using reader = await proxy.client();
    reader.socket.pause();
    reader.send(get(serving.authority, '/', 'Connection: close'));
    await serving.connection();
    await settled(() => bytesWritten(serving));
    await sendSlowly(uploader, 4_000_000, { piece: Buffer.alloc(16_384, 'X') });
    reader.socket.resume();
    await reader.ended();
    const [download] = responses(reader);
    assert.equal(download?.body.length, 20_000_000);
    assert.equal(
      download?.body.findIndex((byte) => byte !== PIECE[0]),
      -1,
    );
  }),
);

test(
  'a client that stops in its head and never closes gets 408, and is disconnected a moment later',
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using proxy = await ProxyUnderTest.start({ timeouts: { requestHead: '200ms' } }, { clock });
    using client = await proxy.client();
    client.send('GET http://a.test/ HTTP/1.1\r\nHost');
    // The clock stands still until the proxy has read it.
    await until(() => proxy.proxy.open > 0, 'the proxy has read the head so far');
    await clock.pass(400);
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 408 /);
    assert.equal(await client.ended(), 'fin');
    await clock.pass(2_000);
    // The kernel of the client learns of it by the answer to a first byte, and the client itself by a later one.
    const isReset = (): boolean => {
      if (client.ending !== 'reset') client.send('x');
      return client.ending === 'reset';
    };
    await until(isReset, 'the client is reset', 2_000);
  }),
);

const LAST = 'HTTP/1.1 200 OK\r\nConnection: close\r\n';

/** Serves `/sized/BYTES` or `/chunked/BYTES`, once. */
function bulk(peer: RawPeer): void {
  peer.socket.once('data', async () => {
    const [, how, count = ''] = /GET \/(\w+)\/(\d+)/.exec(peer.text) ?? [];
    const bytes = Number(count);
    if (how === 'sized') peer.send(`${LAST}Content-Length: ${bytes}\r\n\r\n`);
    else peer.send(`${LAST}Transfer-Encoding: chunked\r\n\r\n${bytes.toString(16)}\r\n`);
    await sendSlowly(peer, bytes, { last: how === 'sized' ? '' : '\r\n0\r\n\r\n' });
  });
}

for (const [who, version, how, side] of [
  ['a client that closes its connection after the answer', '1.1', 'sized', 'open'],
  ['a client that has closed its half already', '1.1', 'sized', 'half-closed'],
  ['an HTTP/1.0 client of an origin that sends chunks', '1.0', 'chunked', 'open'],
] as const) {
  test(
    `${who} gets every byte, however long it stalls at the end`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using origin = await RawOrigin.listen(bulk);
      await using proxy = await ProxyUnderTest.start({}, { clock });
      const stalled = async (bytes: number): Promise<RawPeer> => {
        const client = await proxy.client();
        client.socket.pause();
        const connection = version === '1.1' ? 'Connection: close\r\n' : '';
        client.send(`GET http://${origin.authority}/${how}/${bytes} HTTP/${version}\r\nHost: a\r\n${connection}\r\n`);
        if (side === 'half-closed') client.end();
        return client;
      };
      // How much the proxy takes for a client that reads nothing: an answer that ends there waits in the proxy itself.
      const probe = await stalled(40_000_000);
      await origin.connection();
      await settled(() => bytesWritten(origin));
      probe[Symbol.dispose]();
      const { bytesDown } = await proxy.record();

      for (const [at, less] of [0, 20_000, 50_000, 100_000].entries()) {
        using client = await stalled(bytesDown - less);
        await origin.connection(at + 1);
        await settled(() => bytesWritten(origin));
        await clock.pass(3_000);
        client.socket.resume();
        await client.ended();
        assert.equal(responses(client)[0]?.body.length, bytesDown - less);
        assert.equal(client.ending, 'fin');
      }
      assert.deepEqual(
        proxy.records.slice(1).map(({ failure }) => failure),
        [undefined, undefined, undefined, undefined],
      );
    }),
  );
}

test(
  'three requests and then FIN: three answers, in order',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(['/1', '/2', '/3'].map((path) => get(origin.authority, path)).join('')).end();
    await once(client.socket, 'finish');
    const upstream = await origin.connection();
    for (const path of ['/1', '/2', '/3']) {
      await upstream.until(`GET ${path} `);
      upstream.send(ok(path));
    }
    await client.ended();
    assert.deepEqual(
      responses(client).map(({ body }) => body.toString()),
      ['/1', '/2', '/3'],
    );
  }),
);

for (const scheme of ['NTLM', 'Negotiate'] as const) {
  test(
    `a connection that ${scheme} has authenticated serves no other client`,
    leavesNothing(async () => {
      const users = new WeakSet<RawPeer>();
      await using origin = await RawOrigin.listen(
        answering(({ fields }, peer) => {
          if (fields.get('authorization')?.startsWith(scheme)) users.add(peer);
          return users.has(peer)
            ? ok('secret')
            : `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${scheme}\r\nContent-Length: 0\r\n\r\n`;
        }),
      );
      await using proxy = await ProxyUnderTest.start();
      using alice = await proxy.client();
      alice.send(get(origin.authority, '/', `Authorization: ${scheme} TlRMTVNTUAADAAAA`));
      await answered(alice, 1);
      assert.match(alice.text, /^HTTP\/1\.1 200 [\s\S]*secret$/);
      using bob = await proxy.client();
      bob.send(get(origin.authority));
      await answered(bob, 1);
      assert.match(bob.text, /^HTTP\/1\.1 401 /);
    }),
  );
}

test(
  'a drain that begins in the middle of an answer is over when that answer is out',
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start({}, { clock });
    using client = await proxy.client();
    client.socket.on('end', () => client.end());
    client.send(get(origin.authority));
    const upstream = await origin.connection();
    await upstream.until('\r\n\r\n');
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh');
    await client.until(/\r\n\r\nh$/);
    const closing = proxy.proxy.close({ drainMs: 60_000 });
    upstream.send('i');
    // The clock stands still: nothing that waits for its time would ever end.
    const { finished, aborted } = await within(3_000, closing);
    assert.deepEqual([finished, aborted], [1, 0]);
    assert.match(client.text, /\r\n\r\nhi$/);
  }),
);

test(
  'a drain closes idle connections at once, and waits for those with a request alone',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('hello')));
    await using slow = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start();
    using idle = await proxy.client();
    idle.send(get(origin.authority));
    await answered(idle, 1);
    using busy = await proxy.client();
    busy.socket.on('end', () => busy.end());
    busy.send(get(slow.authority));
    const upstream = await slow.connection();
    await upstream.until('\r\n\r\n');
    const closing = proxy.proxy.close({ drainMs: 60_000 });
    // The other request has not been answered: nothing but the drain closes this one.
    assert.equal(await idle.ended(), 'fin');
    upstream.send(ok('late'));
    const { finished, aborted, longestMs } = await within(3_000, closing);
    assert.deepEqual([finished, aborted], [1, 0]);
    assert.ok(longestMs > 0);
    assert.match(busy.text, /late$/);
  }),
);

test(
  'a connection that was kept is not used once a reload has forbidden its address',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start({}, { lookup: () => Promise.resolve(['127.0.0.1']) });
    const authority = `name.test:${origin.port}`;
    using client = await proxy.client();
    client.send(get(authority));
    const upstream = await origin.connection();
    await upstream.until('\r\n\r\n');
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
    await client.until(/\r\n\r\no$/);
    // It becomes idle after the reload, so the reload could not close it.
    const log = { format: 'off' } as const;
    await proxy.proxy.reload(resolveOptions({ listen: 'http://127.0.0.1:0', log, guard: { deny: ['loopback'] } }));
    upstream.send('k');
    await answered(client, 1);
    client.send(get(authority, '/later'));
    await answered(client, 2);
    assert.match(responses(client)[1]?.head ?? '', /^HTTP\/1\.1 403 /);
    assert.doesNotMatch(origin.text, /later/);
  }),
);

const assertRefusal = (text: string, status: number, code: string): void => {
  assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
  assert.match(text, /^Proxy-Status: viaduct; error=\w+\r$/m);
  assert.match(text, /^Via: 1\.1 viaduct-[0-9a-f]{12}\r$/m);
  assert.match(text, new RegExp(`\\(${code}\\), from the proxy "viaduct", request [0-9a-f]{6}-[0-9a-z]+\\.\\n$`));
};

for (const [request, status, code] of [
  ['GET /favicon.ico', 404, 'not_found'],
  ['POST /', 405, 'method_not_allowed'],
] as const) {
  test(
    `${request} at the proxy itself is refused as everything is: Proxy-Status, Via and the request's id`,
    leavesNothing(async () => {
      await using proxy = await ProxyUnderTest.start();
      using client = await proxy.client();
      client.send(`${request} HTTP/1.1\r\nHost: proxy.test\r\n\r\n`);
      await answered(client, 1);
      assertRefusal(client.text, status, code);
      if (status === 405) assert.match(client.text, /^Allow: GET, HEAD, OPTIONS\r$/m);
      assert.ok(client.text.includes(`request ${(await proxy.record()).id}.`));
    }),
  );
}

test('one connection too many is refused like any request, with Retry-After', async () => {
  // 640 files are kept back and every client may need two: 64 clients fit.
  using running = viaduct(['-l', '127.0.0.1', '-p', '0', '--log', 'off'], {}, 700);
  const port = await running.port();
  const crowd = await Promise.all(Array.from({ length: 64 }, () => rawClient(port)));
  using client = await rawClient(port);
  assert.equal(await client.ended(), 'fin');
  assertRefusal(client.text, 503, 'at_capacity');
  assert.match(client.text, /^Retry-After: 1\r$/m);
  for (const one of crowd) one[Symbol.dispose]();
});

test('a start that fails leaves no file open', { skip: process.platform !== 'linux' && 'reads /proc' }, async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'access.log');
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  assert.ok(address !== null && typeof address !== 'string');
  const listen = `http://127.0.0.1:${address.port}`;
  await assert.rejects(ProxyUnderTest.start({ listen, log: { format: 'json', file } }), ListenError);
  taken.close();
  await once(taken, 'close');
  // Closing is a matter for the thread pool.
  const left = () => openFiles().filter((path) => path.startsWith(folder.path));
  await until(() => left().length === 0, 'the log is closed');
});

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      // The descriptor of this very listing.
      return [];
    }
  });
}

for (const [why, firstToEnd] of [
  ['idle', 'neither'],
  ['linger', 'client'],
] as const) {
  test(
    `a tunnel that ${why} cuts while bytes wait ends in a reset: a FIN would say that they are all there`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using origin = await RawOrigin.listen((peer) => void sendSlowly(peer, 40_000_000));
      const timeouts = { idle: firstToEnd === 'neither' ? '10s' : '1h', linger: '10s' };
      await using proxy = await ProxyUnderTest.start({ timeouts }, { clock });
      using client = await proxy.tunnel(origin.authority);
      client.socket.pause();
      const { localPort, remotePort } = client.socket;
      if (firstToEnd === 'client') {
        client.end();
        const upstream = await origin.connection();
        await upstream.ended();
      }
      await settled(() => bytesWritten(origin));
      await clock.pass(25_000);
      assert.equal((await proxy.record()).end, firstToEnd === 'neither' ? 'idle' : firstToEnd);
      // A FIN would stand in line behind what the client does not read; a reset takes the connection away at once.
      await until(() => !isConnected({ localPort, remotePort }), 'the connection is reset');
    }),
  );
}
