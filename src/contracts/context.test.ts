import assert from 'node:assert/strict';
import { test } from 'node:test';
import { received } from '../../test/support/received.ts';
import { HookContext } from './context.ts';

test('a hook reads a field by its name in any case, several as a list, and what is not there as undefined', () => {
  const headers = [
    ['X-Session', 'one'],
    ['x-session', 'two'],
    ['Empty', ''],
  ] as const;
  const { header } = new HookContext(received({ headers }).request, undefined);
  assert.deepEqual([header('X-SESSION'), header('empty'), header('x')], ['one, two', '', undefined]);
});
