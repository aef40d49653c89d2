/** The C++ of the native relay, watched while it works: memory, undefined behaviour, races between its threads. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile, RELAY_SOURCES } from '../../scripts/native.ts';
import { isLong } from '../support/bulk.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';

const HARNESS = new URL('harness.cc', import.meta.url).pathname;

interface Watcher {
  readonly name: string;
  readonly flags: readonly string[];
  /** What runs the program, when that is not the program itself. */
  readonly under: readonly string[];
  readonly packages: readonly string[];
  /** Slower watchers see less of it. */
  readonly tunnels: number;
}

const WATCHERS: readonly Watcher[] = [
  {
    name: 'AddressSanitizer and UndefinedBehaviorSanitizer',
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    under: [],
    packages: ['g++'],
    tunnels: 200,
  },
  { name: 'ThreadSanitizer', flags: ['-fsanitize=thread'], under: [], packages: ['g++'], tunnels: 100 },
  {
    name: 'valgrind',
    flags: [],
    under: ['valgrind', '--quiet', '--error-exitcode=9', '--leak-check=full', '--fair-sched=yes'],
    packages: ['g++', 'valgrind'],
    tunnels: 30,
  },
];

for (const { name, flags, under, packages, tunnels } of WATCHERS) {
  const skip = process.platform === 'linux' ? missing(...packages) : 'the native relay is for Linux';
  test(`${name} finds nothing to say about the native relay`, { skip }, () => {
    using folder = temporaryFolder();
    const program = join(folder.path, 'harness');
    assert.equal(compile(program, ['-O1', '-g', ...flags, ...RELAY_SOURCES, HARNESS]), undefined);
    for (let seed = 1; seed <= (isLong ? 10 : 1); seed++) {
      const [command = program, ...args] = [...under, program, String(tunnels), String(seed)];
      const done = spawnSync(command, args, { encoding: 'utf8', timeout: 100_000 });
      assert.deepEqual([done.status, done.stdout, done.stderr], [0, 'ok\n', ''], `seed ${seed}`);
    }
  });
}
