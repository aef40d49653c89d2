import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelOf } from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { returnMemory } from './return-memory.ts';

test('memory is returned once, a second after the last request, and again after later ones', async () => {
  const clock = new ManualClock();
  const returnedMs: number[] = [];
  const memory = returnMemory(clock, () => returnedMs.push(clock.now()));
  const request = () => memory.observe({ type: 'request', id: '1', request: tunnelOf({}).request });
  const beganMs = clock.now();
  const since = () => returnedMs.splice(0).map((ms) => ms - beganMs);
  clock.advance(10_000);
  assert.deepEqual(since(), []);
  for (let n = 0; n < 10; n++) {
    request();
    clock.advance(750);
  }
  assert.deepEqual(since(), []);
  clock.advance(20_000);
  assert.deepEqual(since(), [10_000 + 9 * 750 + 1_000]);
  request();
  clock.advance(1_000);
  assert.deepEqual(since(), [38_500]);

  request();
  await memory[Symbol.asyncDispose]();
  clock.advance(20_000);
  assert.deepEqual(since(), []);
});
