import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LruMap } from './lru-map.ts';

test('forgets the entry that was used longest ago, and reports it', () => {
  const forgotten: string[] = [];
  const map = new LruMap<string, number>(2, (value, key) => forgotten.push(`${key}=${value}`));
  map.set('a', 1);
  map.set('b', 2);
  assert.equal(map.get('a'), 1);
  map.set('c', 3);
  assert.deepEqual([...map.keys()], ['a', 'c']);
  assert.deepEqual(forgotten, ['b=2']);
});

test('peek and has do not count as a use', () => {
  const map = new LruMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  assert.equal(map.peek('a'), 1);
  assert.equal(map.has('a'), true);
  map.set('c', 3);
  assert.deepEqual([...map.keys()], ['b', 'c']);
});

test('an entry that is written again or deleted is not reported as forgotten', () => {
  const map = new LruMap<string, number>(1, () => assert.fail('nothing gave way'));
  map.set('a', 1);
  map.set('a', 2);
  assert.equal(map.delete('a'), true);
  assert.equal(map.delete('a'), false);
  map.set('b', 3);
  assert.equal(map.size, 1);
});

test('keeps a value that is undefined, and is empty after clear', () => {
  const map = new LruMap<string, undefined>(1);
  map.set('a', undefined);
  assert.equal(map.has('a'), true);
  assert.equal(map.get('a'), undefined);
  map.clear();
  assert.equal(map.size, 0);
});
