import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viaIncludes, viaMember } from './via.ts';

test('the member has the version in which the message was received', () => {
  assert.equal(viaMember('1.0', 'viaduct-ab12'), '1.0 viaduct-ab12');
});

const seen = (value: string) => viaIncludes([['Via', value]], 'viaduct-ab');

test('a loop is detected in any member of any line', () => {
  assert.equal(seen('1.1 viaduct-ab'), true);
  assert.equal(seen('1.0 first, 1.1\tviaduct-ab (comment), 1.1 last'), true);
  assert.equal(
    viaIncludes(
      [
        ['Via', '1.1 a'],
        ['VIA', 'HTTP/1.1 viaduct-ab'],
      ],
      'viaduct-ab',
    ),
    true,
  );
});

test('another proxy of the same name is not a loop', () => {
  for (const value of ['1.1 viaduct', '1.1 viaduct-abc', '1.1 a-viaduct-ab', '1.1 x (viaduct-ab)', 'viaduct-ab', '']) {
    assert.equal(seen(value), false, value);
  }
});
