import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { after, test } from 'node:test';
import { temporaryFolder } from '../test/support/temporary.ts';
import { hasPackage, otherPackage } from './other-packages.ts';
import { ROOT } from './tools.ts';

/** No package: this file alone names it. */
const SPEC = 'viaduct-other-packages-test@0.0.1';
const CACHE = `${ROOT}.cache`;
mkdirSync(CACHE, { recursive: true });
const left = () => readdirSync(CACHE).filter((name) => name.startsWith('viaduct-other-packages-test'));

after(() => {
  for (const name of left()) rmSync(`${CACHE}/${name}`, { recursive: true });
});

/** Runs `npm` as this script instead. */
function withNpm<T>(script: string, run: () => T): T {
  using folder = temporaryFolder();
  chmodSync(folder.write('npm', `#!/bin/sh\n${script}\n`), 0o755);
  const before = process.env.PATH;
  process.env.PATH = `${folder.path}:${before}`;
  try {
    return run();
  } finally {
    process.env.PATH = before;
  }
}

test('a package whose installation ends early leaves nothing, and is brought the next time', () => {
  const half = 'mkdir -p "$3/node_modules/viaduct-other-packages-test"';
  withNpm(`${half}; exit 1`, () => {
    assert.throws(() => otherPackage(SPEC), /npm could not bring viaduct-other-packages-test@0\.0\.1/);
  });
  assert.deepEqual([left(), hasPackage(SPEC)], [[], false]);
  mkdirSync(`${CACHE}/viaduct-other-packages-test-0.0.1`);
  const path = withNpm(half, () => otherPackage(SPEC));
  assert.ok(existsSync(path) && hasPackage(SPEC));
  assert.deepEqual(left(), ['viaduct-other-packages-test-0.0.1']);
});
