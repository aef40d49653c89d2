import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstOf, printFields, tokensOf, valuesOf } from './header-list.ts';

const headers = [
  ['Connection', 'close, X-A'],
  ['X-a', '1'],
  ['CONNECTION', ' ,Upgrade,, '],
] as const;

test('finds fields in any case, in order', () => {
  assert.deepEqual(valuesOf(headers, 'connection'), ['close, X-A', ' ,Upgrade,, ']);
  assert.equal(firstOf(headers, 'x-a'), '1');
  assert.equal(firstOf(headers, 'x-b'), undefined);
  assert.deepEqual(valuesOf(headers, 'x-b'), []);
});

test('reads a list over all its field lines, without empty members', () => {
  assert.deepEqual(tokensOf(headers, 'connection'), ['close', 'x-a', 'upgrade']);
  assert.deepEqual(tokensOf(headers, 'te'), []);
});

test('prints fields as they are sent', () => {
  assert.equal(printFields(headers), 'Connection: close, X-A\r\nX-a: 1\r\nCONNECTION:  ,Upgrade,, \r\n');
});
