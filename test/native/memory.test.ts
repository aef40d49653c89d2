/** The out-of-memory policy of native/memory.h: nothing in the addon can throw an exception of C++ through N-API. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { ADDON_FLAGS, ADDON_SOURCES, compile } from '../../scripts/native.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** `operator new(size_t)` and `new[]`, which throw bad_alloc; the same with std::nothrow end with its type's name. */
const THROWS_WITHOUT_MEMORY = /^_Zn[wa]m$/;
const THROWS = /^(__cxa_throw|__cxa_allocate_exception|_ZSt17__throw_bad_allocv)$/;

const skip = process.platform === 'linux' ? missing('g++') : 'the addon is for Linux';

test('no file of the addon calls what throws without memory', { skip }, () => {
  using folder = temporaryFolder();
  const called = ADDON_SOURCES.flatMap((source) => {
    const object = join(folder.path, `${basename(source)}.o`);
    assert.equal(compile(object, [...ADDON_FLAGS, '-c', source]), undefined);
    const { status, stdout } = spawnSync('nm', ['--undefined-only', '--format=just-symbols', object], {
      encoding: 'utf8',
    });
    assert.equal(status, 0);
    return stdout
      .split('\n')
      .filter((symbol) => THROWS_WITHOUT_MEMORY.test(symbol) || THROWS.test(symbol))
      .map((symbol) => `${basename(source)}: ${symbol}`);
  });
  assert.deepEqual(called, []);
});
