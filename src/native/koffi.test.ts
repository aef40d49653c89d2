import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutProblem } from './koffi.ts';

test('Windows is called only where its structures are those of 64 bits', () => {
  assert.deepEqual([layoutProblem('x64'), layoutProblem('arm64')], [undefined, undefined]);
  assert.equal(layoutProblem('ia32'), 'calls of Windows are known for 64 bits, and this Node is for ia32');
});
