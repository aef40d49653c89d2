import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelOf } from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { returnMemory } from './return-memory.ts';

/** What was returned when, in milliseconds since it was set up. */
function setUp() {
  const clock = new ManualClock();
  const beganMs = clock.now();
  const returned: [what: 'quiet' | 'idle', ms: number][] = [];
  const memory = returnMemory(clock, {
    quiet: () => returned.push(['quiet', clock.now() - beganMs]),
    idle: () => returned.push(['idle', clock.now() - beganMs]),
  });
  const request = () => memory.observe({ type: 'request', id: '1', request: tunnelOf({}).request });
  return { clock, memory, request, takeReturned: () => returned.splice(0) };
}

test('free memory is returned once, a second after the last request, and the heap is collected a minute after it', () => {
  const { clock, request, takeReturned } = setUp();
  clock.advance(10_000);
  assert.deepEqual(takeReturned(), []);
  for (let n = 0; n < 10; n++) {
    request();
    clock.advance(750);
  }
  assert.deepEqual(takeReturned(), []);
  const lastMs = 10_000 + 9 * 750;
  clock.advance(300_000);
  assert.deepEqual(takeReturned(), [
    ['quiet', lastMs + 1_000],
    ['idle', lastMs + 60_000],
  ]);
  request();
  clock.advance(300_000);
  assert.deepEqual(takeReturned(), [
    ['quiet', lastMs + 301_750],
    ['idle', lastMs + 360_750],
  ]);
});

test('requests with pauses of less than a minute between them never have the heap collected', () => {
  const { clock, request, takeReturned } = setUp();
  for (const pauseMs of [2_000, 30_000, 59_999]) {
    request();
    clock.advance(pauseMs);
  }
  assert.deepEqual(takeReturned(), [
    ['quiet', 1_000],
    ['quiet', 3_000],
    ['quiet', 33_000],
  ]);
});

test('nothing is returned once it is disposed, before a second and before a minute', async () => {
  for (const servedMs of [0, 500, 5_000]) {
    const { clock, memory, request, takeReturned } = setUp();
    request();
    clock.advance(servedMs);
    takeReturned();
    await memory[Symbol.asyncDispose]();
    clock.advance(300_000);
    assert.deepEqual(takeReturned(), []);
  }
});
