import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bytesWithin,
  GateConsumer,
  type GateConsumerOptions,
  jain,
  lateClock,
  tunnelOf,
} from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { Gate, Permit } from '../../contracts/stages.ts';
import type { Clock } from '../../util/clock.ts';
import { createLimits, type Limits } from '../limits.ts';
import { type LimitsInput, limitsSchema } from '../options.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

interface World {
  readonly clock: ManualClock;
  readonly limits: Limits;
  open(more?: Parameters<typeof tunnelOf>[0]): { permit: Permit; up: Gate; down: Gate };
}

function world(options: LimitsInput, wrap: (clock: ManualClock) => Clock = (clock) => clock): World {
  const clock = new ManualClock();
  const limits = createLimits(limitsSchema.parse(options), { clock: wrap(clock), observe: () => {} });
  let count = 0;
  return {
    clock,
    limits,
    open(more = {}) {
      const permit = limits.acquire(tunnelOf({ id: `r${++count}`, ...more }));
      assert.ok(!(permit instanceof Promise));
      const { up, down } = permit;
      assert.ok(up && down);
      return { permit, up, down };
    },
  };
}

const crowd = (at: World, count: number, options: (index: number) => GateConsumerOptions): GateConsumer[] =>
  Array.from({ length: count }, (_, index) => new GateConsumer(at.open().down, at.clock, options(index)));

/** Every window of 10 s, in steps of 100 ms. */
function assertExact(takers: readonly GateConsumer[], rate: number, untilMs: number): void {
  for (let from = 0; from + 10_000 <= untilMs; from += 200) {
    const ratio = bytesWithin(takers, from, from + 10_000) / (rate * 10);
    assert.ok(ratio >= 0.98 && ratio <= 1.02 + 1e-4, `${ratio} of the rate from ${from} ms on`);
  }
}

for (const [rate, takers, chunk, returnMs, late] of [
  [64 * KIB, 1, 64 * KIB, 0, 0],
  [64 * KIB, 1, 100, 1, 3],
  [64 * KIB, 500, 16 * KIB, 1, 3],
  [MIB, 20, 64, 0, 3],
  [8 * MIB, 1, 64 * KIB, 1, 9],
  [200 * MIB, 1, 64 * KIB, 0, 3],
  [200 * MIB, 500, 64 * KIB, 1, 30],
  [200 * MIB, 2, 4 * MIB, 0, 3],
] as const) {
  const what = `${takers} takers of ${chunk} bytes under ${rate} bytes/s with timers up to ${late} ms late`;
  test(`exact over any 10 s: ${what}`, async () => {
    const at = world({ bandwidth: { rate } }, (clock) => lateClock(clock, late));
    const all = crowd(at, takers, () => ({ chunk, returnMs }));
    await at.clock.pass(11_000);
    assertExact(all, rate, 11_000);
  });
}

test('a burst of one byte still reaches the rate, late timers or not', async () => {
  const at = world({ bandwidth: { rate: 2 * MIB, burst: 1 } }, (clock) => lateClock(clock, 60));
  const takers = crowd(at, 1, () => ({ chunk: 64 * KIB, returnMs: 2 }));
  await at.clock.pass(11_000);
  assertExact(takers, 2 * MIB, 11_000);
});

test('an unused bucket holds its burst and no more', async () => {
  const at = world({ bandwidth: { rate: 100_000, burst: 5_000 } });
  const { down } = at.open();
  await at.clock.pass(60_000);
  assert.equal(down.take(1_000_000), 5_000);
  const taker = new GateConsumer(down, at.clock, { chunk: 10_000 });
  await at.clock.pass(1_000);
  assert.ok(Math.abs(taker.sent - 100_000) <= 2_000, `${taker.sent}`);
  taker.stop();
  await at.clock.pass(60_000);
  await taker.ended;
  const sent = taker.sent;
  await at.clock.pass(60_000);
  assert.equal(down.take(1_000_000), 5_000);
  assert.equal(taker.sent, sent);
});

test('the default burst is 200 ms of the rate', () => {
  assert.equal(
    world({ bandwidth: { rate: '512KiB' } })
      .open()
      .down.take(10 * MIB),
    Math.floor(0.2 * 512 * KIB),
  );
});

test('100 Gbit/s neither overflows nor loses bytes', async () => {
  const at = world({ bandwidth: { rate: '100Gbit' } });
  const takers = crowd(at, 4, () => ({ chunk: 64 * MIB }));
  await at.clock.pass(2_000);
  const ratio = bytesWithin(takers, 100, 1_100) / 12.5e9;
  assert.ok(ratio > 0.98 && ratio < 1.02, `${ratio}`);
});

/** Each wakes the event loop and the thread of the relay. */
const servedTimes = (takers: readonly GateConsumer[], fromMs: number, toMs: number): number =>
  new Set(takers.flatMap(({ grants }) => grants.map(([atMs]) => atMs).filter((atMs) => atMs >= fromMs && atMs < toMs)))
    .size;

for (const [rate, busy, idle] of [
  [10 * MIB, 1, 0],
  [10 * MIB, 1, 10],
  [10 * MIB, 16, 0],
  [100 * MIB, 16, 0],
  [100 * MIB, 200, 0],
] as const) {
  test(`${busy} downloads beside ${idle} idle tunnels under ${rate / MIB} MiB/s are served a few times a second`, async () => {
    const at = world({ bandwidth: { rate } });
    for (let n = 0; n < idle; n++) at.open();
    const takers = crowd(at, busy, () => ({ chunk: 8 * MIB }));
    await at.clock.pass(12_000);
    const times = servedTimes(takers, 2_000, 12_000) / 10;
    assert.ok(times <= 25, `${times} times a second`);
    assertExact(takers, rate, 12_000);
    const index = jain(takers.map((taker) => bytesWithin([taker], 2_000, 12_000)));
    assert.ok(index >= 0.99, `${index}`);
  });
}

test('a few bytes do not wait until downloads are served together', async () => {
  const at = world({ bandwidth: { rate: 10 * MIB } });
  crowd(at, 16, () => ({ chunk: 8 * MIB }));
  const echo = at.open().down;
  await at.clock.pass(3_000);
  for (let n = 0; n < 50; n++) {
    let granted = 0;
    void Promise.resolve(echo.take(64)).then((bytes) => {
      granted = bytes;
    });
    await at.clock.pass(3);
    assert.equal(granted, 64);
    await at.clock.pass(17);
  }
});

for (const count of [2, 16, 200]) {
  for (const rate of [64 * KIB, 512 * KIB, 20 * MIB]) {
    test(`fair between ${count} takers with reads of any size under ${rate} bytes/s`, async () => {
      const at = world({ bandwidth: { rate } }, (clock) => lateClock(clock, 2));
      // Small reads at a high rate would be no greed: a relay that is kept waiting reads all that has come meanwhile.
      const least = rate > MIB ? 4 * KIB : 512;
      const sizes = [least, 8 * KIB, 16 * KIB, 64 * KIB];
      const takers = crowd(at, count, (index) => ({ chunk: sizes[index % 4] ?? least, returnMs: 0.05 }));
      await at.clock.pass(11_000);
      const index = jain(takers.map((taker) => bytesWithin([taker], 1_000, 11_000)));
      assert.ok(index >= 0.99, `${index}`);
    });
  }
}

test('bytes that one gate does not use go to the others', async () => {
  const at = world({ bandwidth: { rate: MIB } });
  const modest = new GateConsumer(at.open().down, at.clock, { chunk: 1_000, returnMs: 100 });
  const greedy = new GateConsumer(at.open().down, at.clock, { chunk: 64 * KIB });
  await at.clock.pass(11_000);
  assertExact([modest, greedy], MIB, 11_000);
  assert.ok(Math.abs(bytesWithin([modest], 0, 10_000) - 100_000) <= 2_000);
});

test('a tunnel blocked by its own limit blocks no other in the shared one', async () => {
  const at = world({
    bandwidth: [
      { per: 'proxy', rate: MIB },
      { per: 'client', rate: '64KiB', match: { clients: ['10.0.0.0/8'] } },
    ],
  });
  const slow = new GateConsumer(at.open({ client: '10.0.0.1' }).down, at.clock, { chunk: 64 * KIB });
  const fast = new GateConsumer(at.open({ client: '192.0.2.1' }).down, at.clock, { chunk: 64 * KIB });
  await at.clock.pass(11_000);
  assertExact([slow, fast], MIB, 11_000);
  assertExact([slow], 64 * KIB, 11_000);
});

test('a limit per user holds however many connections the user opens', async () => {
  const at = world({
    bandwidth: [
      { per: 'proxy', rate: 4 * MIB },
      { per: 'user', rate: MIB },
    ],
  });
  const open = (user: string, count: number) =>
    Array.from(
      { length: count },
      () => new GateConsumer(at.open({ user }).down, at.clock, { chunk: 32 * KIB, returnMs: 1 }),
    );
  const alice = open('alice', 40);
  const bob = open('bob', 1);
  await at.clock.pass(11_000);
  assertExact(alice, MIB, 11_000);
  assertExact(bob, MIB, 11_000);
});

test('both limits that bind, shared crosswise, reach their rates', async () => {
  // Each user under 600 KiB/s, each host under 600 KiB/s, all under 1 MiB/s: the proxy's limit binds everyone.
  const at = world({
    bandwidth: [
      { per: 'user', rate: 600 * KIB },
      { per: 'host', rate: 600 * KIB },
      { per: 'proxy', rate: MIB },
    ],
  });
  const takers = ['alice', 'bob'].flatMap((user) =>
    ['a.example', 'b.example'].flatMap((host) =>
      Array.from({ length: 5 }, () => new GateConsumer(at.open({ user, host }).down, at.clock, { chunk: 64 * KIB })),
    ),
  );
  await at.clock.pass(11_000);
  assertExact(takers, MIB, 11_000);
  assert.ok(jain(takers.map(({ sent }) => sent)) >= 0.99);
});

/** Waits of a 64-byte echo: up, then down, every 50 ms or as soon as it came back. */
async function echoWaits(at: World, up: Gate, down: Gate): Promise<number[]> {
  const waits: number[] = [];
  const run = async () => {
    for (;;) {
      const started = at.clock.now();
      if ((await up.take(64)) === 0 || (await down.take(64)) === 0) return;
      waits.push(at.clock.now() - started);
      await new Promise<void>((resolve) => void at.clock.after(50, resolve));
    }
  };
  void run();
  await at.clock.pass(10_000);
  return waits.sort((a, b) => a - b);
}
const median = (sorted: readonly number[]): number => sorted[sorted.length >> 1] ?? Number.NaN;

test('an echo next to sixteen downloads at 512 KiB/s waits less than 15 ms', async () => {
  const at = world({ bandwidth: { rate: '512KiB' } }, (clock) => lateClock(clock, 2));
  crowd(at, 16, () => ({ chunk: 64 * KIB, returnMs: 0.3 }));
  await at.clock.pass(1_000);
  const { up, down } = at.open();
  const waits = await echoWaits(at, up, down);
  assert.ok(waits.length > 150);
  assert.ok((waits.at(-1) ?? 99) < 15, `up to ${waits.at(-1)} ms, median ${median(waits)} ms`);
});

test('background takes what other traffic leaves, and an echo next to it hardly waits', async () => {
  const at = world({
    bandwidth: [
      { per: 'proxy', rate: '512KiB' },
      { match: { hosts: ['.bulk.example'] }, priority: 'background' },
    ],
  });
  const bulk = Array.from(
    { length: 16 },
    () => new GateConsumer(at.open({ host: 'cdn.bulk.example' }).down, at.clock, { chunk: 64 * KIB }),
  );
  await at.clock.pass(2_000);
  const { up, down } = at.open();
  const waits = await echoWaits(at, up, down);
  assert.ok(median(waits) <= 2, `${median(waits)} ms`);
  assertExact(bulk, 512 * KIB, 12_000);

  const before = bulk.reduce((sum, { sent }) => sum + sent, 0);
  const greedy = new GateConsumer(at.open().down, at.clock, { chunk: 64 * KIB });
  await at.clock.pass(10_000);
  assert.ok(greedy.sent >= 0.98 * 5_120 * KIB, 'a greedy normal taker gets everything');
  assert.ok(bulk.reduce((sum, { sent }) => sum + sent, 0) - before <= 64 * KIB, 'and background nothing');
});

test('background that holds the lead in its own limit does not stop normal traffic there', async () => {
  const at = world({
    bandwidth: [
      { per: 'client', rate: '128KiB' },
      { per: 'proxy', rate: '256KiB' },
      { match: { hosts: ['bulk.example'] }, priority: 'background' },
    ],
  });
  const flood = new GateConsumer(at.open({ client: '192.0.2.9' }).down, at.clock, { chunk: 64 * KIB });
  const bulk = new GateConsumer(at.open({ client: '192.0.2.1', host: 'bulk.example' }).down, at.clock, {
    chunk: 64 * KIB,
  });
  const normal = new GateConsumer(at.open({ client: '192.0.2.1' }).down, at.clock, { chunk: 64 * KIB });
  await at.clock.pass(11_000);
  assertExact([flood], 128 * KIB, 11_000);
  assertExact([normal, bulk], 128 * KIB, 11_000);
  assert.ok(bulk.sent < 64 * KIB, `${bulk.sent}`);
});

test('direction: up and down share one budget, or have one alone', async () => {
  const both = world({ bandwidth: { rate: MIB } });
  const one = both.open();
  const pair = [
    new GateConsumer(one.up, both.clock, { chunk: 8 * KIB }),
    new GateConsumer(one.down, both.clock, { chunk: 8 * KIB }),
  ];
  await both.clock.pass(11_000);
  assertExact(pair, MIB, 11_000);

  const down = world({ bandwidth: { rate: MIB, direction: 'down' } });
  const other = down.open();
  assert.equal(other.up.take(50 * MIB), 50 * MIB);
  assert.equal(other.down.take(50 * MIB), Math.floor(MIB / 5));
});

test('a changed limit applies to open tunnels at once, keeps its level, and drops nothing', async () => {
  const at = world({ bandwidth: [{ name: 'all', rate: '64KiB' }] });
  const takers = crowd(at, 3, () => ({ chunk: 64 * KIB }));
  await at.clock.pass(2_000);
  at.limits.update(limitsSchema.parse({ bandwidth: [{ name: 'all', rate: MIB }] }));
  await at.clock.pass(1_000);
  const raised = bytesWithin(takers, 2_000, 3_000);
  assert.ok(Math.abs(raised - MIB) < 0.05 * MIB, `${raised}: no second burst`);

  assert.equal(at.limits.setRate('all', 128 * KIB), true);
  assert.equal(at.limits.setRate('unknown', 128 * KIB), false);
  await at.clock.pass(2_000);
  const lowered = bytesWithin(takers, 4_000, 5_000);
  assert.ok(Math.abs(lowered - 128 * KIB) < 0.05 * 128 * KIB, `${lowered}`);

  at.limits.update(limitsSchema.parse({}));
  for (const taker of takers) taker.stop();
  await at.clock.pass(1);
  await Promise.all(takers.map(({ ended }) => ended));
});

test('a limit that appears later binds tunnels that were open before', async () => {
  const at = world({});
  const { down, permit } = at.open();
  assert.equal(down.take(MIB), MIB);
  assert.deepEqual(permit.limits, []);
  at.limits.update(limitsSchema.parse({ bandwidth: { per: 'tunnel', rate: '64KiB' } }));
  assert.deepEqual(permit.limits, ['bandwidth-1']);
  assert.equal(down.take(MIB), Math.floor(64 * KIB * 0.2));
});

test('disposing a permit grants its waiting take 0 bytes, stops the timer, and serves the next', async () => {
  const at = world({ bandwidth: { rate: 1_000 } });
  const [first, second] = [at.open(), at.open()];
  assert.equal(first.down.take(200), 200);
  const waiting = first.down.take(1_000);
  const next = second.down.take(100);
  assert.equal(at.clock.pending, 1);
  first.permit[Symbol.dispose]();
  first.permit[Symbol.dispose]();
  assert.equal(await waiting, 0);
  assert.equal(first.down.take(1), 0);
  await at.clock.pass(120);
  assert.equal(await next, 100);
  assert.equal(at.clock.pending, 0);
  second.permit[Symbol.dispose]();
  assert.deepEqual(
    (await at.limits.describe()).map((state) => state.kind === 'bandwidth' && [state.users, state.waiting]),
    [[0, 0]],
  );
});

test('no timer runs while no gate waits', () => {
  const at = world({ bandwidth: [{ per: 'tunnel', rate: MIB }, { rate: 100 * MIB }] });
  const gates = Array.from({ length: 2_000 }, () => at.open());
  for (const { down } of gates) assert.equal(down.take(64), 64);
  assert.equal(at.clock.pending, 0);
});

test('refunded bytes can be taken again', () => {
  const at = world({ bandwidth: { rate: 1_000, burst: 500 } });
  const { down } = at.open();
  assert.equal(down.take(500), 500);
  down.refund(300);
  assert.equal(down.take(300), 300);
});

test('a second take waits for the first and both are answered', async () => {
  const at = world({ bandwidth: { rate: 1_000, burst: 100 } });
  const { down } = at.open();
  assert.equal(down.take(100), 100);
  const answers = Promise.all([down.take(50), down.take(50)]);
  await at.clock.pass(200);
  assert.deepEqual(await answers, [50, 50]);
});

test('the first gate does not wait until hundreds that come later have caught up', async () => {
  const at = world({ bandwidth: { rate: MIB } });
  const first = crowd(at, 2, () => ({ chunk: 64 * KIB }));
  await at.clock.pass(1000);
  const all = [...first, ...crowd(at, 498, () => ({ chunk: 64 * KIB }))];
  await at.clock.pass(11_000);
  for (const [index, taker] of all.entries()) {
    assert.ok(bytesWithin([taker], 2000, 4000) > 2 * KIB, `taker ${index} got ${bytesWithin([taker], 2000, 4000)}`);
  }
  const index = jain(all.map((taker) => bytesWithin([taker], 2000, 12_000)));
  assert.ok(index >= 0.999, String(index));
});
