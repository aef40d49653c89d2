import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cpuMsOf } from '../../../test/support/cpu-ms.ts';
import { globMatcher } from './glob.ts';

test('a pattern matches what the same regular expression matches', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 8 });
  fc.assert(
    fc.property(pattern, text, (glob, name) => {
      const oracle = new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
      assert.equal(globMatcher(glob)(name), oracle.test(name), `${glob} on ${name}`);
    }),
    { numRuns: 3000 },
  );
});

test('a pattern with many stars is matched as quickly for a hostile name', () => {
  const matches = globMatcher(`${'a*'.repeat(60)}b`);
  const tookMs = cpuMsOf(() => assert.equal(matches('a'.repeat(253)), false));
  assert.ok(tookMs < 50, 'with backtracking this would outlast the machine');
});
