import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from './until.ts';

test('resolves at the first poll that is true, also of a condition that is a promise', async () => {
  let polls = 0;
  await until(() => ++polls === 3, 'three polls');
  assert.equal(polls, 3);
  await until(async () => ++polls === 5, 'two more');
  assert.equal(polls, 5);
});

test('rejects with what did not become true, and with what a condition throws', async () => {
  await assert.rejects(
    until(() => false, 'the log has a line', 5),
    { message: 'not within 5 ms: the log has a line' },
  );
  const error = new Error('the process has ended');
  const failing = until(() => {
    throw error;
  }, 'never');
  await assert.rejects(failing, (thrown) => thrown === error);
});
