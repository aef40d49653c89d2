/** Peers that vanish with bytes in flight, and peers that are there and whose buffers are full. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Connection } from '../../src/contracts/stages.ts';
import type { Sink } from '../../src/contracts/wire.ts';
import { loadAddon } from '../../src/native/addon.ts';
import { keepAlive, SILENCE_MS_MAX } from '../../src/net/deferred-keep-alive.ts';
import { epollSockets } from '../../src/net/epoll-sockets.ts';
import { EpollWire } from '../../src/net/epoll-wire.ts';
import { SocketWire } from '../../src/net/node-wire.ts';
import { epollTcp, type OpenTcp, openTcp } from '../../src/upstream/dial/tcp.ts';
import { FAR_IP, FarNetwork } from '../support/far-network.ts';
import { isInside, noNamespace, runInside } from '../support/namespace.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { Notes } from '../support/wire-pair.ts';

const isLong = process.env.VIADUCT_LONG === '1';
/** The kernel's own patience is 15 minutes. */
const AFTER_MS = 2_000;
/** The kernel sends again after 0.2, 0.6, 1.4, 3 and 6.2 s: the bytes of a peer that is back arrive before this. */
const LONGER_MS = 10_000;
const LOOK_MS = 100;
const WAIT_MS_MAX = 60_000;
const MUCH = Buffer.alloc(16 * 1_048_576, 'x');

/** Reads nothing before it is signalled, and then sends how much it has read. */
const LATE_READER = `
const sockets = new Set();
let reads = false;
process.on('SIGUSR2', () => { reads = true; for (const socket of sockets) socket.resume(); });
require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  sockets.add(socket);
  socket.on('data', (chunk) => { bytes += chunk.length; }).on('error', () => {});
  socket.on('end', () => socket.end('read ' + bytes));
  if (!reads) socket.pause();
}).listen(80, '0.0.0.0', () => process.stdout.write('ready'));`;

const { addon } = loadAddon();
const sockets = epollSockets();
const KINDS: readonly (readonly [what: string, open: OpenTcp])[] =
  addon === undefined || sockets === undefined
    ? []
    : [
        ["the addon's socket", epollTcp(sockets)],
        ["Node's socket", openTcp],
      ];

/** What becomes of a connection whose peer is looked at as often as a test wants. */
class Watched extends Notes {
  readonly #wire: SocketWire | EpollWire;

  constructor({ wire }: Connection) {
    super();
    assert.ok(wire instanceof SocketWire || wire instanceof EpollWire);
    this.#wire = wire;
    wire.deliverTo(this);
  }

  get stream(): Sink {
    return this.#wire.stream;
  }

  async look(afterMs: number, forMs: number, isTrue: () => boolean): Promise<void> {
    const untilMs = performance.now() + forMs;
    while (!isTrue() && performance.now() < untilMs) {
      this.#wire.boundSilence(afterMs, addon?.boundSilence);
      await wait(LOOK_MS);
    }
  }
}

/** The cable goes before the machine at its other end: the kernel takes its time to forget that. */
interface Cable extends AsyncDisposable {
  readonly far: FarNetwork;
}
async function plugged(): Promise<Cable> {
  const far = await FarNetwork.start('', LATE_READER);
  far.plug();
  return {
    far,
    async [Symbol.asyncDispose]() {
      far.pull();
      await far[Symbol.asyncDispose]();
    },
  };
}

if (isInside()) {
  /** The same with each kind of socket, over one cable. */
  const withEach =
    (play: (peer: Watched, far: FarNetwork) => Promise<void>, begin: (far: FarNetwork) => void) => async () => {
      await using cable = await plugged();
      const { far } = cable;
      const opened = await Promise.all(KINDS.map(([, open]) => open(FAR_IP, 80, new AbortController().signal)));
      begin(far);
      const played = await Promise.allSettled(opened.map((connection) => play(new Watched(connection), far)));
      for (const connection of opened) connection[Symbol.dispose]();
      const failed = played.flatMap((one, at) =>
        one.status === 'rejected' ? [`${KINDS[at]?.[0]}: ${one.reason}`] : [],
      );
      assert.deepEqual(failed, []);
    };

  test(
    'a peer that vanishes with bytes in flight is given up',
    withEach(
      async (peer) => {
        peer.stream.write(Buffer.from('bytes'));
        const sinceMs = performance.now();
        await peer.look(AFTER_MS, WAIT_MS_MAX, () => peer.events.length > 0);
        assert.deepEqual(peer.events, ['failed ETIMEDOUT']);
        assert.ok(performance.now() - sinceMs >= AFTER_MS / 2);
      },
      (far) => far.carry('nothing'),
    ),
  );

  test(
    'a peer that is there and reads nothing is waited for, and gets everything',
    withEach(
      async (peer, far) => {
        peer.stream.write(MUCH);
        peer.stream.end();
        assert.ok(peer.stream.writableLength > 0);
        await peer.look(AFTER_MS, 4 * AFTER_MS, () => peer.events.length > 0);
        assert.deepEqual(peer.events, []);
        far.signal();
        await peer.look(AFTER_MS, WAIT_MS_MAX, () => peer.events.length > 0);
        assert.equal(peer.text, `read ${MUCH.length}`);
      },
      () => undefined,
    ),
  );

  test(
    'the bound ends with the silence: a peer that is back may stop reading for longer',
    withEach(
      async (peer, far) => {
        peer.stream.write(MUCH);
        peer.stream.end();
        await peer.look(LONGER_MS, 500, () => false);
        far.carry('all');
        await peer.look(LONGER_MS, 1.5 * LONGER_MS, () => peer.events.length > 0);
        assert.deepEqual(peer.events, []);
        far.signal();
        await peer.look(LONGER_MS, WAIT_MS_MAX, () => peer.events.length > 0);
        assert.equal(peer.text, `read ${MUCH.length}`);
      },
      (far) => far.carry('nothing'),
    ),
  );

  /** The same through each relay, over one cable. */
  const throughEach = (play: (proxy: ProxyUnderTest, client: RawPeer, cable: Cable) => Promise<void>) => async () => {
    await using cable = await plugged();
    await Promise.all(
      (['auto', 'portable'] as const).map(async (relay) => {
        await using proxy = await ProxyUnderTest.start({ relay });
        using client = await proxy.tunnel(`${FAR_IP}:80`);
        await play(proxy, client, cable);
      }),
    );
  };
  // They take minutes.
  if (isLong) {
    test(
      'a tunnel whose peer vanishes with bytes in flight is over after about a minute',
      throughEach(async (proxy, client, { far }) => {
        far.carry('nothing');
        client.send('bytes');
        assert.equal(await client.ended(2 * SILENCE_MS_MAX), 'reset');
        const { end, durationMs } = await proxy.record();
        assert.equal(end, 'error');
        assert.ok(durationMs >= 0.9 * SILENCE_MS_MAX, `${durationMs} ms`);
      }),
    );

    test(
      'a tunnel whose peer reads nothing for longer than that goes on',
      throughEach(async (proxy, client, { far }) => {
        client.send(MUCH).end();
        // Nothing may happen meanwhile.
        await wait(1.5 * SILENCE_MS_MAX);
        assert.equal(client.ending, 'open');
        far.signal();
        await client.until(`read ${MUCH.length}`, WAIT_MS_MAX);
        assert.equal((await proxy.record()).end, 'client');
      }),
    );
  }

  test('nothing of a socket that is closed is looked at', () => assert.equal(keepAlive.size, 0));
} else {
  const absent = addon === undefined ? 'the addon is not built' : noNamespace();
  test('peers on another machine that vanish, and peers that are slow', { skip: absent }, async () => {
    await runInside(import.meta.url);
  });
}
