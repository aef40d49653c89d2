import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wordsIn } from './words.ts';

test('a banned word is reported with its line and what to write instead', () => {
  assert.deepEqual(wordsIn('src/a.ts', 'const x = 1;\n/** Whoever reads it is told. */\n'), [
    'src/a.ts:2: "whoever": name the component',
    'src/a.ts:2: "told": name who reports what to whom',
  ]);
});

test('parts of identifiers count, and words that only contain one do not', () => {
  assert.deepEqual(wordsIn('src/a.ts', 'const quotaDesk = sitsOutUntilMs;'), [
    'src/a.ts:1: "desk": server, or allocator',
    'src/a.ts:1: "sitsOut": is down',
  ]);
  assert.deepEqual(wordsIn('src/a.ts', 'const shall = Math.floor(mushrooms / history);'), []);
});

test('a phrase counts', () => {
  assert.equal(wordsIn('docs/a.md', 'for those who wait').length, 1);
});
