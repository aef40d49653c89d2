import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { CALL_MS, CALLS_MAX, CallSlots, WAITING_MAX } from './call-slots.ts';

/** Calls that end when a test says so. */
function calls(slots: CallSlots) {
  const begun: PromiseWithResolvers<string>[] = [];
  const abandoned: string[] = [];
  const call = (): Promise<string> => {
    const pending = Promise.withResolvers<string>();
    begun.push(pending);
    return pending.promise;
  };
  return { begun, abandoned, run: () => slots.run(call, (result) => abandoned.push(result)) };
}

test('so many calls run at once, and the others follow in their order', async () => {
  const { begun, run } = calls(new CallSlots(new ManualClock()));
  const results = Array.from({ length: CALLS_MAX + 2 }, run);
  assert.equal(begun.length, CALLS_MAX);
  begun[1]?.resolve('second');
  assert.equal(await results[1], 'second');
  assert.equal(begun.length, CALLS_MAX + 1);
  begun[0]?.reject(new Error('first'));
  await assert.rejects(results[0] ?? assert.fail(), /first/);
  begun[2]?.resolve('third');
  begun[3]?.resolve('fourth');
  assert.deepEqual(await Promise.all(results.slice(2)), ['third', 'fourth']);
});

test('a call that takes too long keeps its slot, and its caller gives up', async () => {
  const clock = new ManualClock();
  const { begun, abandoned, run } = calls(new CallSlots(clock));
  const results = Array.from({ length: CALLS_MAX + 1 }, run);
  clock.advance(CALL_MS);
  assert.deepEqual(await Promise.all(results), ['late', 'late', 'late']);
  // Who waited has gone, and is not called for.
  assert.equal(begun.length, CALLS_MAX);
  assert.equal(await run(), 'stuck');
  begun[0]?.resolve('after all');
  await nextTurn();
  assert.deepEqual(abandoned, ['after all']);
  const next = run();
  begun[CALLS_MAX]?.resolve('next');
  assert.equal(await next, 'next');
  begun[1]?.reject(new Error('its caller has given up'));
  await nextTurn();
  assert.equal(clock.pending, 0);
});

test('no more calls wait than there is space for', async () => {
  const clock = new ManualClock();
  const { run } = calls(new CallSlots(clock));
  const results = Array.from({ length: CALLS_MAX + WAITING_MAX }, run);
  assert.equal(await run(), 'full');
  clock.advance(CALL_MS);
  assert.equal(new Set(await Promise.all(results)).size, 1);
  assert.equal(clock.pending, 0);
});
