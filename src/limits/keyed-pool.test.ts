import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyedPool } from './keyed-pool.ts';

const start = (max: number) => new KeyedPool<{ used: number }>(max, ({ used }) => used === 0);
function touch(pool: KeyedPool<{ used: number }>, key: string, used: number): void {
  pool.hold(key, () => ({ used: 0 })).used += used;
  pool.release(key);
}

test('an entry that is like new is not kept once it is released', () => {
  const keyed = start(10);
  touch(keyed, 'used', 1);
  touch(keyed, 'a', 0);
  touch(keyed, 'b', 0);
  assert.deepEqual([...keyed.entries()], [['used', { used: 1 }]]);
});

test('a used entry outlives any number of keys that were only held', () => {
  const keyed = start(100);
  touch(keyed, 'used', 1);
  for (let count = 0; count < 1_000; count++) touch(keyed, `other ${count}`, 0);
  assert.equal(keyed.peek('used')?.used, 1);
});

test('the sweep gets past entries that stay', () => {
  const keyed = start(100);
  touch(keyed, 'stays', 1);
  const ends = keyed.hold('ends', () => ({ used: 1 }));
  keyed.release('ends');
  ends.used = 0;
  for (let count = 0; count < 4; count++) touch(keyed, `other ${count}`, 0);
  assert.equal(keyed.peek('ends'), undefined);
  assert.equal(keyed.peek('stays')?.used, 1);
});

test('beyond the maximum those like new go first, then the longest unused', () => {
  const keyed = start(2);
  keyed.restore('oldest', { used: 1 });
  keyed.restore('like new', { used: 0 });
  keyed.restore('third', { used: 1 });
  assert.deepEqual(
    [...keyed.entries()].map(([key]) => key),
    ['oldest', 'third'],
  );
  keyed.restore('fourth', { used: 1 });
  assert.deepEqual(
    [...keyed.entries()].map(([key]) => key),
    ['third', 'fourth'],
  );
});
