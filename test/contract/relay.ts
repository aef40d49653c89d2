import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Meter, Relay, RelayLimits, RelayResult } from '../../src/contracts/relay.ts';
import type { Gate } from '../../src/contracts/stages.ts';
import { IdleWatch } from '../../src/net/idle-watch.ts';
import type { Clock } from '../../src/util/clock.ts';
import { hashOf, hashOfPattern, MB, patternOf } from '../support/bulk.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { numbers, Pace } from '../support/pace.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { unlimited } from '../support/unlimited.ts';
import { until } from '../support/until.ts';
import { type MakeWire, nodeWire, socketPair, wirePair } from '../support/wire-pair.ts';

export type MakeRelay = (idle: IdleWatch, clock: Clock) => Relay;

/** The kinds of wire under the two connections. */
export interface Wires {
  readonly client: MakeWire;
  readonly upstream: MakeWire;
}
const OF_NODE: Wires = { client: nodeWire, upstream: nodeWire };

/** Between two steps of the clock: a relay on another thread needs real time to act on each. */
const THREAD_MS = 5;

/** For the buffers between two peers to fill up: no event reports that. */
const FULL_MS = 50;

/** Ends and resets come at a random moment within it. */
const MOMENT_MS_MAX = 30;

const HOUR_MS = 3_600_000;
const LINGER_MS = 30_000;

/** A tunnel under a relay, both of its ends in the test's hands. */
export interface Bench extends AsyncDisposable {
  readonly client: RawPeer;
  readonly upstream: RawPeer;
  readonly clock: ManualClock;
  readonly abort: AbortController;
  readonly meter: Meter;
  readonly result: Promise<RelayResult>;
  /** Advances the relay's clock, and lets the relay act on each step, until the tunnel has ended. */
  passUntilOver(stepMs: number): Promise<RelayResult>;
}

/** A relay on a thread counts there, and copies its count on `updateMeter`. */
function bytesUp(meter: Meter): number {
  meter.source?.updateMeter();
  return meter.up;
}

/** A gate that grants what a test has given it. */
class GrantingGate implements Gate {
  #left = 0;
  #isOver = false;
  #waiting: { readonly bytesMax: number; readonly resolve: (bytes: number) => void } | undefined;
  /** Granted and not given back. */
  passed = 0;

  get isAsked(): boolean {
    return this.#waiting !== undefined;
  }

  take(bytesMax: number): number | Promise<number> {
    if (this.#isOver) return 0;
    if (this.#left > 0) return this.#give(bytesMax);
    return new Promise((resolve) => {
      this.#waiting = { bytesMax, resolve };
    });
  }

  refund(bytes: number): void {
    this.passed -= bytes;
    this.#left += bytes;
  }

  grant(bytes: number): void {
    this.#left += bytes;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(this.#give(waiting.bytesMax));
  }

  end(): void {
    this.#isOver = true;
    this.#waiting?.resolve(0);
  }

  #give(bytesMax: number): number {
    const bytes = Math.min(bytesMax, this.#left);
    this.#left -= bytes;
    this.passed += bytes;
    return bytes;
  }
}

export async function openTunnel(
  make: MakeRelay,
  more: Partial<RelayLimits> & {
    readonly fromClient?: string;
    readonly fromUpstream?: string;
    readonly wires?: Wires;
  } = {},
): Promise<Bench> {
  const clock = new ManualClock();
  const idle = new IdleWatch(clock);
  const abort = new AbortController();
  const meter: Meter = { up: 0, down: 0, source: undefined };
  const { wires = OF_NODE } = more;
  const near = await wirePair(Buffer.from(more.fromClient ?? ''), wires.client);
  const far = await wirePair(Buffer.from(more.fromUpstream ?? ''), wires.upstream);
  const { permit = unlimited, idleMs = HOUR_MS, lingerMs = LINGER_MS } = more;
  const limits: RelayLimits = { signal: abort.signal, idleMs, lingerMs, permit, meter, ...more };
  let isOver = false;
  const result = make(idle, clock)
    .run(near.connection, far.connection, limits)
    .finally(() => {
      isOver = true;
    });
  return {
    client: near.peer,
    upstream: far.peer,
    clock,
    abort,
    meter,
    result,
    async passUntilOver(stepMs) {
      for (let steps = 0; !isOver && steps < 500; steps++) {
        await clock.pass(stepMs);
        await wait(THREAD_MS);
      }
      return await result;
    },
    async [Symbol.asyncDispose]() {
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
      await result;
      assert.deepEqual([idle.size, clock.pending], [0, 0], 'a watch or a timer is left');
    },
  };
}

/** The sides by name, so that what is promised to one is promised to the other. */
const SIDES = ['client', 'upstream'] as const;
type Side = (typeof SIDES)[number];
const other = (side: Side): Side => (side === 'client' ? 'upstream' : 'client');

/** What every relay promises, in JavaScript or on a thread, over every kind of wire. */
export function relayKeepsItsPromises(
  name: string,
  make: MakeRelay,
  { wires = OF_NODE, bulkMb = 100 }: { readonly wires?: Wires; readonly bulkMb?: number } = {},
): void {
  const openOne = (more: Parameters<typeof openTunnel>[1] = {}) => openTunnel(make, { wires, ...more });
  const promise = (what: string, body: () => Promise<void>) => test(`${name}: ${what}`, leavesNothing(body));

  promise('moves as many bytes as its gates grant, of those too that came early, and no more', async () => {
    const [up, down] = [new GrantingGate(), new GrantingGate()];
    const permit = { up, down, limits: [], [Symbol.dispose]: () => undefined };
    await using tunnel = await openOne({ fromClient: 'early ', permit });
    const { client, upstream } = tunnel;
    client.send('question');
    up.grant(3);
    await upstream.until('ear');
    up.grant(5);
    await upstream.until('early qu');
    upstream.send('an answer');
    down.grant(100);
    await client.until('an answer');
    await wait(THREAD_MS);
    assert.equal(upstream.text, 'early qu');
    // The end of a side needs no grant once its bytes have passed.
    upstream.end();
    assert.equal(await client.ended(), 'fin');
    up.grant(100);
    client.end();
    assert.equal(await upstream.ended(), 'fin');
    await tunnel.result;
    assert.deepEqual([upstream.text, up.passed, down.passed], ['early question', 14, 9]);
  });

  promise('a gate that grants nothing more ends the tunnel with a reset for both', async () => {
    const up = new GrantingGate();
    await using tunnel = await openOne({ permit: { up, limits: [], [Symbol.dispose]: () => undefined } });
    up.grant(2);
    tunnel.client.send('abcdef');
    await tunnel.upstream.until('ab');
    up.end();
    assert.deepEqual([await tunnel.client.ended(), await tunnel.upstream.ended()], ['reset', 'reset']);
    assert.equal((await tunnel.result).end, 'limit');
  });

  promise('a side that waits for its gate is not silent', async () => {
    const up = new GrantingGate();
    const permit = { up, limits: [], [Symbol.dispose]: () => undefined };
    await using tunnel = await openOne({ permit, idleMs: 10_000 });
    tunnel.client.send('x');
    await until(() => up.isAsked, 'the gate is asked');
    for (let steps = 0; steps < 10; steps++) {
      await tunnel.clock.pass(5_000);
      await wait(THREAD_MS);
    }
    up.grant(1);
    await tunnel.upstream.until('x');
    assert.equal((await tunnel.passUntilOver(5_000)).end, 'idle');
  });

  promise('moves bytes both ways, and first what came early', async () => {
    await using tunnel = await openOne({ fromClient: 'early ', fromUpstream: 'banner ' });
    const { client, upstream } = tunnel;
    client.send('question');
    await upstream.until('early question');
    upstream.send('answer');
    await client.until('banner answer');
    client.end();
    upstream.end();
    assert.deepEqual([await client.ended(), await upstream.ended()], ['fin', 'fin']);
    const { up, down } = await tunnel.result;
    assert.deepEqual([up, down], [14, 13]);
    assert.deepEqual(tunnel.meter, { up: 14, down: 13, source: undefined });
  });

  for (const first of SIDES) {
    promise(`after ${first} has ended, the other may go on, and the result names the first`, async () => {
      await using tunnel = await openOne();
      const [one, two] = [tunnel[first], tunnel[other(first)]];
      one.send('last words').end();
      await two.until('last words');
      assert.equal(await two.ended(), 'fin');
      for (const word of ['still ', 'here ', 'for ', 'a while']) {
        two.send(word);
        await one.until(word);
      }
      two.end();
      assert.equal(await one.ended(), 'fin');
      assert.equal((await tunnel.result).end, first);
      assert.equal(one.text, 'still here for a while');
    });

    promise(`an end of ${first} right behind its data is an end, and the data is whole`, async () => {
      for (const size of [1, 65_535, 65_536, 65_537, 131_072, 1_000_000]) {
        await using tunnel = await openOne();
        const [one, two] = [tunnel[first], tunnel[other(first)]];
        one.send(Buffer.alloc(size, 'x')).end();
        assert.equal(await two.ended(), 'fin');
        assert.equal(two.bytesReceived, size);
        two.end();
        assert.equal((await tunnel.result)[first === 'client' ? 'up' : 'down'], size);
      }
    });

    promise(`an end of ${first} before the tunnel began, and nothing at all from it`, async () => {
      const clock = new ManualClock();
      const near = await wirePair(undefined, wires.client);
      const far = await wirePair(undefined, wires.upstream);
      const peers = { client: near.peer, upstream: far.peer };
      // On loopback the kernel has the FIN then; whether the wire has read it too must not matter.
      await once(peers[first].end().socket, 'finish');
      const limits = { signal: new AbortController().signal, idleMs: 0, lingerMs: 0, permit: unlimited };
      const meter = { up: 0, down: 0 };
      const result = make(new IdleWatch(clock), clock).run(near.connection, far.connection, { ...limits, meter });
      assert.equal(await peers[other(first)].ended(), 'fin');
      peers[other(first)].end();
      assert.deepEqual(await result, { up: 0, down: 0, end: first });
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
    });

    promise(`a reset of ${first} is a reset for the other`, async () => {
      await using tunnel = await openOne();
      tunnel[first].send('a');
      await tunnel[other(first)].until('a');
      tunnel[first].reset();
      assert.equal(await tunnel[other(first)].ended(), 'reset');
      assert.equal(
        (await tunnel.result).end,
        first === 'client' ? 'client' : 'error',
        'a client may reset at any time',
      );
    });

    promise(`a reset of ${first} behind the end of the other is a reset for the other`, async () => {
      await using tunnel = await openOne();
      const [one, two] = [tunnel[first], tunnel[other(first)]];
      two.end();
      await one.ended();
      one.send('some of it');
      await two.until('some of it');
      one.reset();
      await two.when(({ ending }) => ending === 'reset', 'reset');
      assert.equal((await tunnel.result).end, first === 'client' ? 'upstream' : 'error', 'the first to end is named');
    });

    promise(`a reset of ${first} while it gets more than it reads ends the tunnel`, async () => {
      await using tunnel = await openOne();
      const [one, two] = [tunnel[first], tunnel[other(first)]];
      one.socket.pause();
      two.send(Buffer.alloc(20_000_000));
      await wait(FULL_MS);
      one.reset();
      assert.equal(await two.ended(), 'reset');
      assert.equal((await tunnel.result).end, first === 'client' ? 'client' : 'error');
    });

    promise(
      `${first} that does not read gets a reset, not an end, when the tunnel is silent for too long`,
      async () => {
        await using tunnel = await openOne({ idleMs: 60_000 });
        const [one, two] = [tunnel[first], tunnel[other(first)]];
        one.socket.pause();
        two.send(Buffer.alloc(20_000_000));
        await wait(FULL_MS);
        assert.equal((await tunnel.passUntilOver(10_000)).end, 'idle');
        one.socket.resume();
        assert.equal(await one.ended(), 'reset');
      },
    );

    promise(`after ${first} has ended, the other has the linger, however long both were silent before`, async () => {
      await using tunnel = await openOne();
      await tunnel.clock.pass(10 * 60_000);
      tunnel[first].end();
      await tunnel[other(first)].ended();
      const endedMs = tunnel.clock.now();
      assert.equal((await tunnel.passUntilOver(1_000)).end, first);
      const afterMs = tunnel.clock.now() - endedMs;
      assert.ok(afterMs >= LINGER_MS && afterMs <= 2 * LINGER_MS, `after ${afterMs} ms`);
    });
  }

  promise('both ends at once, without a byte', async () => {
    await using tunnel = await openOne();
    tunnel.client.end();
    tunnel.upstream.end();
    assert.deepEqual([await tunnel.client.ended(), await tunnel.upstream.ended()], ['fin', 'fin']);
    const { up, down } = await tunnel.result;
    assert.deepEqual([up, down], [0, 0]);
  });

  promise('silence for the limit ends it, a byte now and then does not', async () => {
    await using tunnel = await openOne({ idleMs: 60_000 });
    for (let count = 1; count <= 5; count++) {
      tunnel.client.send('.');
      await tunnel.upstream.when(({ bytesReceived }) => bytesReceived === count);
      // The peer can have the byte before the relay has counted it.
      await until(() => bytesUp(tunnel.meter) === count, 'the relay has counted the byte');
      await tunnel.clock.pass(40_000);
    }
    assert.equal(tunnel.client.ending, 'open');
    assert.deepEqual(await tunnel.passUntilOver(5_000), { up: 5, down: 0, end: 'idle' });
    assert.deepEqual([await tunnel.client.ended(), await tunnel.upstream.ended()], ['fin', 'fin']);
  });

  promise('an abort resets both', async () => {
    await using tunnel = await openOne();
    tunnel.client.send('a');
    await tunnel.upstream.until('a');
    tunnel.abort.abort();
    assert.deepEqual([await tunnel.client.ended(), await tunnel.upstream.ended()], ['reset', 'reset']);
    assert.deepEqual(await tunnel.result, { up: 1, down: 0, end: 'aborted' });
  });

  promise('an abort before the beginning resets both', async () => {
    await using tunnel = await openOne({ signal: AbortSignal.abort() });
    assert.deepEqual([await tunnel.client.ended(), await tunnel.upstream.ended()], ['reset', 'reset']);
    assert.equal((await tunnel.result).end, 'aborted');
  });

  promise(`${bulkMb} MB each way with readers that stall, byte by byte the same`, async () => {
    const near = await socketPair(undefined, wires.client);
    const far = await socketPair(undefined, wires.upstream);
    const clock = new ManualClock();
    const idle = new IdleWatch(clock);
    const meter = { up: 0, down: 0 };
    const signal = new AbortController().signal;
    const limits = { signal, idleMs: 0, lingerMs: 0, permit: unlimited, meter };
    const result = make(idle, clock).run(near.connection, far.connection, limits);
    const bytes = bulkMb * MB;
    const pick = numbers(7);
    const hashes = [near.accepted, far.accepted].map((socket) => {
      patternOf(bytes).pipe(socket);
      return hashOf(socket.pipe(new Pace(pick)), bytes);
    });
    for (const { hash } of await Promise.all(hashes)) assert.equal(hash, hashOfPattern(bytes));
    const { up, down } = await result;
    assert.deepEqual([up, down], [bytes, bytes]);
    for (const { accepted, socket } of [near, far]) for (const one of [accepted, socket]) one.destroy();
  });

  promise('a side that ends, in any way and at any moment, ends the tunnel, which leaves nothing', async () => {
    const pick = numbers(1_234_567);
    const rounds = Array.from({ length: 120 }, async (_, round) => {
      await using tunnel = await openOne({
        fromClient: 'c'.repeat(pick(2)),
        fromUpstream: 'u'.repeat(pick(2)),
      });
      const sides = SIDES.map((side) => tunnel[side]);
      for (const peer of sides) {
        peer.socket.on('error', () => undefined);
        if (pick(4) === 0) peer.socket.pause();
        peer.send(Buffer.alloc(pick([1, 100, 100_000, 3_000_000][pick(4)] ?? 1) + 1));
      }
      await wait(pick(MOMENT_MS_MAX));
      const [one, two] = round % 2 === 0 ? sides : sides.reverse();
      const ways = [
        (peer?: RawPeer) => peer?.reset(),
        (peer?: RawPeer) => peer?.socket.destroy(),
        (peer?: RawPeer) => peer?.end(),
        () => tunnel.abort.abort(),
      ];
      ways[pick(4)]?.(one);
      await wait(pick(MOMENT_MS_MAX));
      ways[pick(3)]?.(two);
      await wait(pick(MOMENT_MS_MAX));
      one?.socket.destroy();
      two?.socket.destroy();
      await tunnel.result;
    });
    await Promise.all(rounds);
  });
}
