/** The addon for musl, as Zig compiles it: long form, since CI has no Zig. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile, compileAddon, muslCompiler } from '../../scripts/native.ts';
import { isLong } from '../support/bulk.ts';
import { isInstalled } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { PROGRAMS } from './programs.ts';

const isZigThere = isInstalled({ name: 'zig', command: 'zig' });
const skip = isZigThere ? false : 'missing here; put the zig command on the PATH (ziglang.org)';

const linesOf = (program: string, ...words: string[]): string[] => {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.split('\n');
};

if (isLong) {
  test('for both processors it needs the C library of musl alone, and nothing that only glibc has', { skip }, () => {
    using folder = temporaryFolder();
    for (const processor of ['x86_64', 'aarch64'] as const) {
      const addon = join(folder.path, `${processor}.node`);
      assert.equal(compileAddon(addon, muslCompiler(processor)), undefined);
      const needed = linesOf('readelf', '-Wd', addon).filter((line) => line.includes('(NEEDED)'));
      assert.deepEqual(
        needed.map((line) => /\[(.*)\]/.exec(line)?.[1]),
        ['libc.so'],
      );
      const versions = linesOf('readelf', '-WV', addon).filter((line) => line.includes('GLIBC'));
      assert.deepEqual(versions, []);
    }
  });

  test('what is below JavaScript runs on musl', {
    skip: skip || (process.arch === 'x64' ? false : 'built for x64'),
  }, () => {
    using folder = temporaryFolder();
    for (const { of, sources, work } of PROGRAMS) {
      const program = join(folder.path, 'harness');
      assert.equal(compile(program, ['-O1', '-static', ...sources], muslCompiler('x86_64')), undefined);
      const done = spawnSync(program, [String(work.sanitizers), '1'], { encoding: 'utf8', timeout: 100_000 });
      assert.deepEqual([done.status, done.stdout, done.stderr], [0, 'ok\n', ''], of);
    }
  });
}
