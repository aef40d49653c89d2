import assert from 'node:assert/strict';
import { test } from 'node:test';
import { poolThreads } from './pool-threads.ts';

test('the pool has 128 threads, and in a container a sixteenth of what it may have, but never fewer than 16', () => {
  const given = [undefined, 'max\n', '100000\n', '1024\n', '512\n', '100\n', '0\n'];
  assert.deepEqual(given.slice(1).map(poolThreads), [128, 128, 64, 32, 16, 16]);
  assert.ok(poolThreads() >= 16);
});
