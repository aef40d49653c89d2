import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sealedFor } from '../src/cli/run/sealed-file.ts';
import { temporaryFolder } from '../test/support/temporary.ts';
import { startText } from './entry.ts';

/** Says whether its code was known, runs a function that is compiled late, and leaves what V8 has compiled in `raw`. */
const COMMAND = `(function (viaductUrl, require, viaductImport, viaductCompiled) {'use strict';
const late = (name) => 'hello ' + name;
console.log(JSON.stringify([viaductCompiled === undefined ? 'no folder' : viaductCompiled.scripts[0].isKnown, late('world')]));
if (process.argv[2] !== undefined) require('node:fs').writeFileSync(process.argv[2], viaductCompiled.scripts[0].bytes());
})`;

/** A command of a few lines with the real start.js, and the file that an earlier start has left. */
function started() {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  writeFileSync(at('package.json'), '{ "type": "module" }');
  writeFileSync(at('start.js'), startText('abc'));
  writeFileSync(at('command.js'), COMMAND);
  const kept = at(`caches/viaduct/compile-abc/command-${process.version}-${process.arch}`);
  const start = (words: readonly string[] = [], caches = at('caches')): unknown => {
    const { stdout, stderr } = spawnSync(process.execPath, [at('start.js'), ...words], {
      env: { XDG_CACHE_HOME: caches },
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.equal(stderr, '');
    return JSON.parse(stdout);
  };
  start([at('raw')]);
  const compiled = readFileSync(at('raw'));
  mkdirSync(join(kept, '..'), { recursive: true, mode: 0o700 });
  const write = (bytes: Buffer) => writeFileSync(kept, bytes, { mode: 0o600 });
  const sealed = Buffer.from(sealedFor(kept, compiled), 'latin1');
  write(sealed);
  return { at, kept, start, write, compiled, sealed, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const KNOWN = [true, 'hello world'];
const UNKNOWN = [false, 'hello world'];

test('a start takes the code that an earlier one has left', () => {
  using command = started();
  assert.deepEqual(command.start(), KNOWN);
});

test('code that was damaged on the disk is compiled anew and never run', () => {
  using command = started();
  const { sealed, start, write } = command;
  // One bit in the head, in the code and in the names, of either copy; V8 itself takes some of them.
  for (const part of [0.001, 0.2, 0.499, 0.5, 0.9, 0.999]) {
    const damaged = Buffer.from(sealed);
    const at = Math.floor(damaged.length * part);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    write(damaged);
    assert.deepEqual(start(), UNKNOWN, `byte ${at} of ${damaged.length}`);
  }
  for (const length of [0, 1, 32, sealed.length >> 1, sealed.length - 1]) {
    write(sealed.subarray(0, length));
    assert.deepEqual(start(), UNKNOWN, `${length} bytes of ${sealed.length}`);
  }
});

test('a start takes the code that the build has compiled, where it is of this build and of this Node', () => {
  using command = started();
  const { at, kept, start, compiled } = command;
  rmSync(kept);
  mkdirSync(at('compiled'));
  const name = `compiled/command-${process.version}-${process.arch}`;
  writeFileSync(at(`${name}-abd`), compiled);
  writeFileSync(at(`compiled/command-v0.0.0-${process.arch}-abc`), compiled);
  assert.deepEqual(start(), UNKNOWN);
  writeFileSync(at(`${name}-abc`), compiled);
  assert.deepEqual([start(), start([], '')], [KNOWN, ['no folder', 'hello world']]);
});

test('where V8 rejects what the build has compiled, a start takes the code that an earlier one has left', () => {
  using command = started();
  mkdirSync(command.at('compiled'));
  const built = command.at(`compiled/command-${process.version}-${process.arch}-abc`);
  writeFileSync(built, Buffer.alloc(2000, 7));
  assert.deepEqual(command.start(), KNOWN);
});

test('whole bytes that are no code of this V8 are compiled anew', () => {
  using command = started();
  command.write(Buffer.from(sealedFor(command.kept, Buffer.alloc(2000, 7)), 'latin1'));
  assert.deepEqual(command.start(), UNKNOWN);
});

test('code that another user can write is not run', { skip: process.platform === 'win32' }, () => {
  using command = started();
  for (const mode of [0o620, 0o602]) {
    chmodSync(command.kept, mode);
    assert.deepEqual(command.start(), UNKNOWN);
  }
  chmodSync(command.kept, 0o644);
  assert.deepEqual(command.start(), KNOWN);
});

test('code of another user is not run', { skip: process.geteuid?.() !== 0 && 'only root can give a file away' }, () => {
  using command = started();
  chownSync(command.kept, 65_534, 65_534);
  assert.deepEqual(command.start(), UNKNOWN);
});

test('a folder, a pipe, a device or nothing in its place does not hold up the start', {
  skip: process.platform === 'win32',
}, () => {
  using command = started();
  const { at, kept, start } = command;
  rmSync(kept);
  assert.deepEqual(start(), UNKNOWN);
  mkdirSync(kept);
  assert.deepEqual(start(), UNKNOWN);
  rmSync(kept, { recursive: true });
  assert.equal(spawnSync('mkfifo', [kept]).status, 0);
  assert.deepEqual(start(), UNKNOWN);
  rmSync(kept);
  symlinkSync('/dev/zero', kept);
  assert.deepEqual(start(), UNKNOWN);
  assert.deepEqual(start([], at('command.js')), UNKNOWN);
  assert.deepEqual(start([], ''), ['no folder', 'hello world']);
});

test('nothing is written into a folder of another user', { skip: process.platform === 'win32' }, () => {
  using folder = temporaryFolder();
  assert.notEqual(sealedFor(join(folder.path, 'a/b/c'), Buffer.from('x')), '');
  if (process.geteuid?.() !== 0) return assert.throws(() => sealedFor('/proc/none', Buffer.from('x')), /another user/);
  chownSync(folder.path, 65_534, 65_534);
  assert.throws(() => sealedFor(join(folder.path, 'a/b/c'), Buffer.from('x')), /another user/);
});
