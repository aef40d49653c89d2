/** The C++ of the addon, watched while it works: memory, undefined behaviour, races between its threads. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile } from '../../scripts/native.ts';
import { isLong } from '../support/bulk.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { PROGRAMS, type WatcherName } from './programs.ts';

interface Watcher {
  readonly is: WatcherName;
  readonly name: string;
  readonly flags: readonly string[];
  /** What runs the program, when that is not the program itself. */
  readonly under: readonly string[];
  readonly packages: readonly string[];
}

const WATCHERS: readonly Watcher[] = [
  {
    is: 'sanitizers',
    name: 'AddressSanitizer and UndefinedBehaviorSanitizer',
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    under: [],
    packages: ['g++'],
  },
  { is: 'threads', name: 'ThreadSanitizer', flags: ['-fsanitize=thread'], under: [], packages: ['g++'] },
  {
    is: 'valgrind',
    name: 'valgrind',
    flags: [],
    under: ['valgrind', '--quiet', '--error-exitcode=9', '--leak-check=full', '--fair-sched=yes'],
    packages: ['g++', 'valgrind'],
  },
];

for (const { of, sources, work } of PROGRAMS) {
  for (const { is, name, flags, under, packages } of WATCHERS) {
    const amount = work[is];
    if (amount === undefined) continue;
    const skip = process.platform === 'linux' ? missing(...packages) : 'the addon is for Linux';
    test(`${name} reports nothing about ${of}`, { skip }, () => {
      using folder = temporaryFolder();
      const program = join(folder.path, 'harness');
      assert.equal(compile(program, ['-O1', '-g', ...flags, ...sources]), undefined);
      for (let seed = 1; seed <= (isLong ? 10 : 1); seed++) {
        const words: readonly string[] = [...under, program, String(amount), String(seed)];
        const [command = program, ...args] = words;
        const done = spawnSync(command, args, { encoding: 'utf8', timeout: 240_000 });
        assert.deepEqual([done.status, done.stdout, done.stderr], [0, 'ok\n', ''], `seed ${seed}`);
      }
    });
  }
}
