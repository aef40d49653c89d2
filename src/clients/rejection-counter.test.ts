import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { RejectionCounter } from './rejection-counter.ts';

test('a burst is one line with the number of all of them, and what comes later is reported later', () => {
  const clock = new ManualClock();
  const said: string[] = [];
  const count = new RejectionCounter(clock, (line) => said.push(line));
  for (let n = 0; n < 137; n++) count.add('64 are open');
  assert.deepEqual(said, []);
  clock.advance(1_000);
  assert.deepEqual(said.splice(0), ['137 connections turned away: 64 are open']);
  count.add('64 are open');
  clock.advance(9_999);
  count.add('64 are open');
  assert.deepEqual(said, []);
  clock.advance(1);
  assert.deepEqual(said.splice(0), ['2 connections turned away: 64 are open']);
  clock.advance(10_000);
  assert.deepEqual(said, []);
  count.add('8 are open');
  clock.advance(1_000);
  assert.deepEqual(said.splice(0), ['1 connection turned away: 8 are open']);
});

test('the rest is reported at the end, and no timer is left', () => {
  const clock = new ManualClock();
  const said: string[] = [];
  const count = new RejectionCounter(clock, (line) => said.push(line));
  count.add('64 are open');
  count.add('64 are open');
  count[Symbol.dispose]();
  count[Symbol.dispose]();
  clock.advance(60_000);
  assert.deepEqual(said, ['2 connections turned away: 64 are open']);
});
