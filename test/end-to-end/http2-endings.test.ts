import assert from 'node:assert/strict';
import { test } from 'node:test';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { END_STREAM, ERROR, FRAME, frame, RawHttp2, uint32 } from '../support/http2-frames.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);
const h2c = { listen: [{ url: 'http://127.0.0.1:0', h2c: true }] };
const PING = frame(FRAME.ping, 0, 0, Buffer.alloc(8));

/** A tunnel on stream 1, and the origin's end of it. */
async function opened(
  origin: RawOrigin,
  proxy: ProxyUnderTest,
): Promise<{ client: RawHttp2; peer: RawPeer } & Disposable> {
  const client = await RawHttp2.open(proxy.port);
  await client.tunnel(1, origin.authority);
  const peer = await origin.connection(0);
  return { client, peer, [Symbol.dispose]: () => client[Symbol.dispose]() };
}

/** The connection goes on: what became of a stream has cost that stream alone. */
async function stillServes(client: RawHttp2, origin: RawOrigin): Promise<void> {
  client.send(PING);
  await client.when(() => client.frames.some(({ type, flags }) => type === FRAME.ping && flags === 1), 'PONG');
  await client.tunnel(9, origin.authority);
  assert.equal(client.goaway, undefined);
}

for (const relay of RELAYS) {
  const start = () => ProxyUnderTest.start({ ...h2c, relay });

  test(
    `END_STREAM of the client is a FIN for the origin, which may answer behind it (${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen();
      await using proxy = await start();
      using tunnel = await opened(origin, proxy);
      const { client, peer } = tunnel;
      client.send(frame(FRAME.data, END_STREAM, 1, Buffer.from('question')));
      assert.equal(await peer.ended(), 'fin');
      assert.equal(peer.text, 'question');
      peer.send('answer').end();
      await client.when(() => client.ending(1).ended, 'END_STREAM');
      assert.equal(client.data(1).toString(), 'answer');
      const { end, bytesUp, bytesDown, failure } = await proxy.record();
      assert.deepEqual(
        { end, bytesUp, bytesDown, failure },
        { end: 'client', bytesUp: 8, bytesDown: 6, failure: undefined },
      );
      assert.equal(client.ending(1).reset, undefined);
      await stillServes(client, origin);
    }),
  );

  test(
    `a FIN of the origin is END_STREAM for the client, which may send behind it (${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen();
      await using proxy = await start();
      using tunnel = await opened(origin, proxy);
      const { client, peer } = tunnel;
      peer.send('greeting').end();
      await client.when(() => client.ending(1).ended, 'END_STREAM');
      assert.deepEqual([client.data(1).toString(), client.ending(1).reset], ['greeting', undefined]);
      client.send(
        frame(FRAME.data, 0, 1, Buffer.from('late ')),
        frame(FRAME.data, END_STREAM, 1, Buffer.from('words')),
      );
      assert.equal(await peer.ended(), 'fin');
      assert.equal(peer.text, 'late words');
      const { end, failure } = await proxy.record();
      assert.deepEqual({ end, failure }, { end: 'upstream', failure: undefined });
      await stillServes(client, origin);
    }),
  );

  for (const code of [ERROR.cancel, ERROR.connect, ERROR.internal, ERROR.none]) {
    test(
      `RST_STREAM with code ${code} in the middle of a tunnel is a reset for the origin (${relay})`,
      leavesNothing(async () => {
        await using origin = await RawOrigin.listen();
        await using proxy = await start();
        using tunnel = await opened(origin, proxy);
        const { client, peer } = tunnel;
        client.send(frame(FRAME.data, 0, 1, Buffer.from('half a')));
        await peer.until('half a');
        client.send(frame(FRAME.reset, 0, 1, uint32(code)));
        assert.equal(await peer.ended(), 'reset');
        const { end } = await proxy.record();
        assert.equal(end, 'client');
        await stillServes(client, origin);
      }),
    );
  }

  test(
    `RST_STREAM(NO_ERROR) behind END_STREAM takes nothing from the origin of what was sent (${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen();
      await using proxy = await start();
      using tunnel = await opened(origin, proxy);
      const { client, peer } = tunnel;
      peer.socket.pause();
      const sent = Buffer.alloc(60_000, 'x');
      for (let at = 0; at < sent.length; at += 15_000)
        client.send(frame(FRAME.data, 0, 1, sent.subarray(at, at + 15_000)));
      client.send(frame(FRAME.data, END_STREAM, 1), frame(FRAME.reset, 0, 1, uint32(ERROR.none)));
      client.send(PING);
      await client.when(() => client.frames.some(({ type, flags }) => type === FRAME.ping && flags === 1), 'PONG');
      // What it sends has no reader any more.
      peer.send('and another thing');
      peer.socket.resume();
      assert.equal(await peer.ended(), 'fin');
      assert.equal(peer.bytesReceived, sent.length);
      peer.end();
      const { end, failure, bytesUp } = await proxy.record();
      assert.deepEqual({ end, failure, bytesUp }, { end: 'client', failure: undefined, bytesUp: sent.length });
      await stillServes(client, origin);
    }),
  );

  test(
    `a reset of the origin is RST_STREAM(CONNECT_ERROR) (${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen();
      await using proxy = await start();
      using tunnel = await opened(origin, proxy);
      const { client, peer } = tunnel;
      client.send(frame(FRAME.data, 0, 1, Buffer.from('half a')));
      await peer.until('half a');
      peer.reset();
      await client.when(() => client.ending(1).reset !== undefined, 'RST_STREAM');
      assert.deepEqual(client.ending(1), { ended: false, reset: ERROR.connect });
      const { end } = await proxy.record();
      assert.equal(end, 'error');
      await stillServes(client, origin);
    }),
  );

  test(
    `a client that vanishes with its connection is a reset for every origin (${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen();
      await using proxy = await start();
      using tunnel = await opened(origin, proxy);
      const { client, peer } = tunnel;
      await client.tunnel(3, origin.authority);
      const other = await origin.connection(1);
      client.socket.resetAndDestroy();
      assert.deepEqual(await Promise.all([peer.ended(), other.ended()]), ['reset', 'reset']);
      await proxy.record(1);
      assert.deepEqual(
        proxy.records.map(({ end }) => end),
        ['client', 'client'],
      );
    }),
  );

  test(
    `a client that closes its connection in good order has reset its open tunnels (${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen();
      await using proxy = await start();
      using tunnel = await opened(origin, proxy);
      const { client, peer } = tunnel;
      client.socket.end();
      assert.equal(await peer.ended(), 'reset');
      await proxy.record();
    }),
  );
}

test('a stream that an origin never reads has a window of its own, and others go on', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await ProxyUnderTest.start(h2c);
  using tunnel = await opened(origin, proxy);
  const { client, peer } = tunnel;
  peer.socket.pause();
  await client.tunnel(3, origin.authority);
  const other = await origin.connection(1);
  const chunk = Buffer.alloc(16_000, 'x');
  // All that the window of one stream admits, into a tunnel that takes nothing.
  for (let at = 0; at < 8; at++) client.send(frame(FRAME.data, 0, 1, chunk));
  for (let at = 0; at < 20; at++) {
    client.send(frame(FRAME.data, 0, 3, chunk));
    await other.when(({ bytesReceived }) => bytesReceived === (at + 1) * chunk.length, 'the other tunnel');
  }
  peer.socket.resume();
  await peer.when(({ bytesReceived }) => bytesReceived === 8 * chunk.length, 'the first tunnel');
});

test('trailers behind the 200 of a tunnel are an error of its stream', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await ProxyUnderTest.start(h2c);
  using tunnel = await opened(origin, proxy);
  const { client, peer } = tunnel;
  client.send(
    frame(
      FRAME.headers,
      END_STREAM | 4,
      1,
      Buffer.concat([Buffer.from([0, 1]), Buffer.from('a'), Buffer.from([1]), Buffer.from('b')]),
    ),
  );
  assert.equal(await peer.ended(), 'reset');
  await proxy.record();
});
