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
  const requests = (count: number) => {
    for (let n = 0; n < count; n++) request();
  };
  return { clock, memory, requests, takeReturned: () => returned.splice(0) };
}

test('free memory is returned once, a second after the last request, and the heap is collected a minute after it', () => {
  const { clock, requests, takeReturned } = setUp();
  clock.advance(10_000);
  assert.deepEqual(takeReturned(), []);
  for (let n = 0; n < 10; n++) {
    requests(100);
    clock.advance(750);
  }
  assert.deepEqual(takeReturned(), []);
  const lastMs = 10_000 + 9 * 750;
  clock.advance(300_000);
  assert.deepEqual(takeReturned(), [
    ['quiet', lastMs + 1_000],
    ['idle', lastMs + 60_000],
  ]);
  requests(1_000);
  clock.advance(300_000);
  assert.deepEqual(takeReturned(), [
    ['quiet', lastMs + 301_750],
    ['idle', lastMs + 360_750],
  ]);
});

test('requests with pauses of less than a minute between them never have the heap collected', () => {
  const { clock, requests, takeReturned } = setUp();
  for (const pauseMs of [2_000, 30_000, 59_999]) {
    requests(1_000);
    clock.advance(pauseMs);
  }
  assert.deepEqual(takeReturned(), [
    ['quiet', 1_000],
    ['quiet', 3_000],
    ['quiet', 33_000],
  ]);
});

test('what few requests have left is not collected before there were many', () => {
  const { clock, requests, takeReturned } = setUp();
  requests(999);
  clock.advance(100_000);
  assert.deepEqual(takeReturned(), [['quiet', 1_000]]);
  requests(1);
  clock.advance(100_000);
  assert.deepEqual(takeReturned(), [
    ['quiet', 101_000],
    ['idle', 160_000],
  ]);
  requests(999);
  clock.advance(100_000);
  assert.deepEqual(takeReturned(), [['quiet', 201_000]]);
});

test('nothing is returned once it is disposed, before a second and before a minute', async () => {
  for (const servedMs of [0, 500, 5_000]) {
    const { clock, memory, requests, takeReturned } = setUp();
    requests(1_000);
    clock.advance(servedMs);
    takeReturned();
    await memory[Symbol.asyncDispose]();
    clock.advance(300_000);
    assert.deepEqual(takeReturned(), []);
  }
});
