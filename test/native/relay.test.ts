/** What only the native relay does: it is another thread, which passes bytes as they are granted and leaves nothing behind. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Meter, Relay, RelayLimits } from '../../src/contracts/relay.ts';
import type { Gate, LimitListener, Permit } from '../../src/contracts/stages.ts';
import { nativeThread } from '../../src/native/relay-thread.ts';
import { IdleWatch } from '../../src/net/idle-watch.ts';
import { NativeRelay } from '../../src/relay/native-relay.ts';
import { portableRelay } from '../../src/relay/portable-relay.ts';
import { systemClock } from '../../src/util/clock.ts';
import { type Bench, openTunnel } from '../contract/relay.ts';
import { hashOf, hashOfPattern, isLong, MB, patternOf } from '../support/bulk.ts';
import { hasProbes } from '../support/kernel.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { numbers, Pace } from '../support/pace.ts';
import { unlimited } from '../support/unlimited.ts';
import { socketPair } from '../support/wire-pair.ts';

const { thread } = nativeThread();
const skip = thread === undefined && 'the native relay is not built here; npm run build says why';

/** A native relay, and how many tunnels it has passed to the relay in TypeScript. */
function nativeRelay(idle: IdleWatch, clock = systemClock): { relay: Relay; handedOver: () => number } {
  assert.ok(thread);
  const inner = portableRelay(idle);
  let handedOver = 0;
  const portable: Relay = {
    run: inner.run,
    start(...args) {
      handedOver += 1;
      inner.start(...args);
    },
  };
  return { relay: new NativeRelay({ thread, portable, idle, clock }), handedOver: () => handedOver };
}

/** Idle gates that close when a test says so, and grant in pieces from then on. */
class Turnstile implements Permit {
  readonly limits = [];
  limitListener: LimitListener | undefined;
  readonly up: Gate;
  readonly down: Gate;
  #isIdle = true;
  passed = 0;

  constructor(pick: (below: number) => number) {
    const isIdle = () => this.#isIdle;
    const gate: Gate = {
      get isIdle() {
        return isIdle();
      },
      take: (bytesMax) => {
        const bytes = 1 + pick(bytesMax);
        this.passed += bytes;
        return pick(3) === 0 ? wait(pick(3)).then(() => bytes) : bytes;
      },
      refund: (bytes) => {
        this.passed -= bytes;
      },
    };
    this.up = gate;
    this.down = gate;
  }

  limit(): void {
    this.#isIdle = false;
    this.limitListener?.onLimited();
  }

  [Symbol.dispose](): void {}
}

/** A tunnel for more bytes than a test would keep, and its disposal. */
async function bulkTunnel(relay: Relay, limits: Partial<RelayLimits>) {
  const [near, far] = [await socketPair(), await socketPair()];
  const all = { signal: new AbortController().signal, idleMs: 0, lingerMs: 0, permit: unlimited, ...limits };
  const meter: Meter = { up: 0, down: 0, source: undefined };
  const result = relay.run(near.connection, far.connection, { ...all, meter });
  return {
    client: near.accepted,
    upstream: far.accepted,
    meter,
    result,
    [Symbol.dispose]() {
      for (const { accepted, socket } of [near, far]) for (const one of [accepted, socket]) one.destroy();
    },
  };
}

const HAND_OVERS = isLong ? 1_000 : 100;

test(
  `${HAND_OVERS} tunnels under load come under a limit, and not a byte is lost or out of its place`,
  { skip },
  leavesNothing(async () => {
    const { relay, handedOver } = nativeRelay(new IdleWatch(systemClock));
    const pick = numbers(42);
    const bytes = 8 * MB;
    const one = async () => {
      const permit = new Turnstile(pick);
      using tunnel = await bulkTunnel(relay, { permit });
      const hashes = [tunnel.client, tunnel.upstream].map((socket) => {
        patternOf(bytes).pipe(socket);
        return hashOf(socket.pipe(new Pace(pick)), bytes);
      });
      // At any moment: before the first byte, in the middle, behind the last.
      const limiting = wait(pick(15)).then(() => permit.limit());
      for (const { hash } of await Promise.all(hashes)) assert.equal(hash, hashOfPattern(bytes));
      await limiting;
      const { up, down } = await tunnel.result;
      assert.deepEqual([up, down, tunnel.meter], [bytes, bytes, { up: bytes, down: bytes, source: undefined }]);
      return permit.passed;
    };
    let underLimit = 0;
    for (let begun = 0; begun < HAND_OVERS; begun += 10) {
      for (const passed of await Promise.all(Array.from({ length: 10 }, one))) if (passed > 0) underLimit += 1;
    }
    assert.ok(underLimit > HAND_OVERS / 3, `only ${underLimit} were limited before they were over`);
    assert.equal(handedOver(), 0);
  }),
);

for (const first of ['client', 'upstream'] as const) {
  test(
    `a tunnel that comes under a limit after ${first} has ended still reports that`,
    { skip },
    leavesNothing(async () => {
      const permit = new Turnstile(numbers(1));
      await using tunnel = await openTunnel((idle, clock) => nativeRelay(idle, clock).relay, { permit });
      const [one, two] = first === 'client' ? [tunnel.client, tunnel.upstream] : [tunnel.upstream, tunnel.client];
      one.send('last words').end();
      assert.equal(await two.ended(), 'fin');
      permit.limit();
      two.send('an answer');
      await one.until('an answer');
      two.end();
      assert.equal(await one.ended(), 'fin');
      assert.equal((await tunnel.result).end, first);
    }),
  );

  test(
    `a reset of ${first} while a limit comes is a reset for the other`,
    { skip },
    leavesNothing(async () => {
      const pick = numbers(3);
      for (let round = 0; round < 30; round++) {
        const permit = new Turnstile(pick);
        await using tunnel = await openTunnel((idle, clock) => nativeRelay(idle, clock).relay, { permit });
        const [one, two] = first === 'client' ? [tunnel.client, tunnel.upstream] : [tunnel.upstream, tunnel.client];
        two.send('x'.repeat(pick(2) * 100_000 + 1));
        await one.when(({ bytesReceived }) => bytesReceived > 0);
        if (pick(2) === 0) permit.limit();
        one.reset();
        if (pick(2) === 0) permit.limit();
        assert.equal(await two.ended(), 'reset');
        await tunnel.result;
      }
    }),
  );
}

test(
  'an abort while a limit comes ends the tunnel',
  { skip },
  leavesNothing(async () => {
    const permit = new Turnstile(numbers(5));
    await using tunnel = await openTunnel((idle, clock) => nativeRelay(idle, clock).relay, { permit });
    permit.limit();
    tunnel.abort.abort();
    assert.deepEqual([await tunnel.client.ended(), await tunnel.upstream.ended()], ['reset', 'reset']);
    assert.equal((await tunnel.result).end, 'aborted');
  }),
);

test(
  'under a limit from the beginning the thread moves the bytes that are granted',
  { skip },
  leavesNothing(async () => {
    const permit = new Turnstile(numbers(5));
    permit.limit();
    let relay: ReturnType<typeof nativeRelay> | undefined;
    await using tunnel = await openTunnel(
      (idle, clock) => {
        relay = nativeRelay(idle, clock);
        return relay.relay;
      },
      { permit },
    );
    tunnel.client.send('hello').end();
    await tunnel.upstream.until('hello');
    tunnel.upstream.end();
    await tunnel.result;
    assert.deepEqual([relay?.handedOver(), permit.passed], [0, 5]);
  }),
);

test(
  'the meter of an open tunnel is a second old at most, and of now when its source is asked',
  { skip },
  leavesNothing(async () => {
    await using tunnel: Bench = await openTunnel((idle, clock) => nativeRelay(idle, clock).relay);
    tunnel.client.send('12345');
    await tunnel.upstream.until('12345');
    assert.deepEqual([tunnel.meter.up, tunnel.meter.down], [0, 0]);
    await wait(20);
    await tunnel.clock.pass(1_000);
    assert.deepEqual([tunnel.meter.up, tunnel.meter.down], [5, 0]);
    tunnel.upstream.send('678');
    await tunnel.client.until('678');
    while (tunnel.meter.down === 0) {
      await nextTurn();
      tunnel.meter.source?.updateMeter();
    }
    assert.deepEqual([tunnel.meter.up, tunnel.meter.down], [5, 3]);
    tunnel.client.end();
    tunnel.upstream.end();
    await tunnel.result;
  }),
);

const open = (): number => readdirSync('/proc/self/fd').length;

test(
  '1,000 tunnels leave no descriptor, nor a slot',
  { skip },
  leavesNothing(async () => {
    const { relay } = nativeRelay(new IdleWatch(systemClock));
    const one = async () => {
      using tunnel = await bulkTunnel(relay, {});
      tunnel.client.end('ping');
      tunnel.upstream.end('pong');
      const [up, down] = await Promise.all([hashOf(tunnel.upstream), hashOf(tunnel.client)]);
      assert.deepEqual([up.bytes, down.bytes], [4, 4]);
      await tunnel.result;
    };
    await one();
    await wait(50);
    const before = open();
    for (let begun = 0; begun < 1_000; begun += 100) await Promise.all(Array.from({ length: 100 }, one));
    for (let turns = 0; open() > before && turns < 200; turns++) await wait(10);
    assert.equal(open(), before);
  }),
);

const threads = (): number => readdirSync('/proc/self/task').length;

test('a worker that ends in the middle of a tunnel takes its thread with it', { skip }, async () => {
  // What Node starts with its first worker stays.
  const runWorker = async () => {
    const worker = new Worker(new URL('worker.ts', import.meta.url));
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    const during = threads();
    await worker.terminate();
    return during;
  };
  await runWorker();
  await wait(100);
  const before = threads();
  assert.ok((await runWorker()) > before);
  for (let turns = 0; threads() > before && turns < 200; turns++) await wait(10);
  assert.equal(threads(), before);
});

test(
  'a tunnel that lasts has keep-alive on both sides, and one that does not has none',
  { skip },
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using tunnel = await openTunnel((idle) => nativeRelay(idle, clock).relay);
    const isProbing = () => [tunnel.client, tunnel.upstream].map(({ socket }) => hasProbes(socket));
    await clock.pass(19_000);
    assert.deepEqual(isProbing(), [false, false]);
    await clock.pass(1_000);
    while (isProbing().includes(false)) await wait(5);
    tunnel.client.end();
    tunnel.upstream.end();
    await tunnel.result;
  }),
);
