import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import { type IdleTarget, IdleWatch } from './idle-watch.ts';

/** Notes when it expired. */
class Silent implements IdleTarget {
  slot = NO_SLOT;
  silentSinceMs = 0;
  limitMs: number;
  touched = false;
  readonly expiredMs: number[] = [];
  readonly #clock: ManualClock;

  constructor(clock: ManualClock, limitMs: number) {
    this.#clock = clock;
    this.limitMs = limitMs;
  }

  wasTouched(): boolean {
    const { touched } = this;
    this.touched = false;
    return touched;
  }

  expired(): void {
    this.expiredMs.push(this.#clock.now());
  }
}

/** Never too early, and late by less than an eighth of the limit, or by a scan where that is longer. */
function assertExpired({ expiredMs: [atMs = Number.NaN, ...more] }: Silent, dueMs: number, lateMsMax: number): void {
  assert.ok(atMs >= dueMs && atMs <= dueMs + lateMsMax, `due at ${dueMs} ms, expired at ${atMs} ms`);
  assert.deepEqual(more, [], 'once');
}

for (const limitMs of [1, 200, 1_000, 30_000, 3_600_000]) {
  test(`silence for ${limitMs} ms expires once, and nothing is watched afterwards`, () => {
    const clock = new ManualClock();
    const watch = new IdleWatch(clock);
    const silent = new Silent(clock, limitMs);
    watch.watch(silent);
    clock.advance(limitMs * 3 + 100);
    assertExpired(silent, limitMs, Math.max(limitMs / 8, 20));
    assert.deepEqual([watch.size, clock.pending], [0, 0]);
  });
}

test('what is touched now and then never expires; its silence counts from the scan that saw the touch', () => {
  const clock = new ManualClock();
  const watch = new IdleWatch(clock);
  const silent = new Silent(clock, 1_000);
  watch.watch(silent);
  for (let round = 0; round < 10; round++) {
    clock.advance(900);
    silent.touched = true;
  }
  assert.deepEqual(silent.expiredMs, []);
  clock.advance(3_000);
  assertExpired(silent, 10_000, 250);
});

test('a limit of 0 never expires', () => {
  const clock = new ManualClock();
  const watch = new IdleWatch(clock);
  const silent = new Silent(clock, 0);
  watch.watch(silent);
  clock.advance(86_400_000);
  assert.deepEqual(silent.expiredMs, []);
});

test('a limit that becomes shorter holds at once after rescheduleSooner, and within 5 s without', () => {
  for (const [how, lateMsMax] of [
    ['rescheduled', 125],
    ['alone', 5_000],
  ] as const) {
    const clock = new ManualClock();
    const watch = new IdleWatch(clock);
    const silent = new Silent(clock, 3_600_000);
    watch.watch(silent);
    clock.advance(5_001);
    silent.limitMs = 1_000;
    silent.touched = true;
    if (how === 'rescheduled') watch.rescheduleSooner(silent);
    clock.advance(60_000);
    // The first scan sees the touch, and the silence counts from there.
    assertExpired(silent, 5_001 + 1_000, lateMsMax + 125);
  }
});

test('what is not watched any more never expires, and without targets there is no timer', () => {
  const clock = new ManualClock();
  const watch = new IdleWatch(clock);
  const [one, other] = [new Silent(clock, 1_000), new Silent(clock, 2_000)];
  watch.watch(one);
  watch.watch(other);
  watch.unwatch(one);
  clock.advance(1_500);
  assert.deepEqual([one.expiredMs, watch.size], [[], 1]);
  watch.unwatch(other);
  assert.deepEqual([watch.size, clock.pending], [0, 0]);
});

test('5,000 targets share one timer, and each expires at its own limit', () => {
  const clock = new ManualClock();
  const watch = new IdleWatch(clock);
  const all = Array.from({ length: 5_000 }, (_, at) => new Silent(clock, 1_000 + at));
  for (const silent of all) watch.watch(silent);
  assert.equal(clock.pending, 1);
  clock.advance(10_000);
  for (const silent of all) assertExpired(silent, silent.limitMs, silent.limitMs / 8);
  assert.equal(clock.pending, 0);
});

test('a target may be watched again from within expired()', () => {
  const clock = new ManualClock();
  const watch = new IdleWatch(clock);
  const again = new Silent(clock, 1_000);
  const expired = () => watch.watch(again);
  const first: IdleTarget = { slot: NO_SLOT, silentSinceMs: 0, limitMs: 1_000, wasTouched: () => false, expired };
  watch.watch(first);
  clock.advance(5_000);
  assertExpired(again, 2_000, 250);
  assert.deepEqual([watch.size, clock.pending], [0, 0]);
});
