import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { checkInput } from '../../config/schema.ts';
import { CheckedBefore } from './checked-before.ts';

/** Starts with one cache folder, as of one build. */
function starts() {
  const folder = temporaryFolder();
  const path = join(folder.path, `settings-${process.version}`);
  let reads = 0;
  const own = {
    folder: folder.path,
    keepAfterMs: 0,
    scripts: [],
    // scripts/start.test.ts tests what is refused.
    read(name: string) {
      reads++;
      if (!existsSync(name)) return undefined;
      const twice = readFileSync(name);
      return twice.subarray(0, twice.length / 2);
    },
  };
  return {
    path,
    start: () => new CheckedBefore(own),
    get reads() {
      return reads;
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

const PLAIN = { listen: ['localhost:8080'], port: 3128, log: { format: 'json' }, admin: { listen: 'localhost:0' } };

test('what the last start has checked means the same at the next one, which keeps nothing new', () => {
  using at = starts();
  const first = at.start();
  const checked = first.check(PLAIN);
  assert.equal(first.keep(), true);
  const second = at.start();
  assert.deepEqual(second.check(structuredClone(PLAIN)), checked);
  assert.equal(second.keep(), false);
  assert.ok(Object.isFrozen(second.check(PLAIN).config?.listen));
});

test('other settings are checked anew, those with a mistake too, and no result of others is given', () => {
  using at = starts();
  const first = at.start();
  first.check(PLAIN);
  first.keep();
  for (const values of [
    { ...PLAIN, port: 3129 },
    { ...PLAIN, port: 'none' },
    { ...PLAIN, nothing: 1 },
    { ...PLAIN, listen: ['localhost:8080', 'localhost:8081'] },
    { port: 3128 },
    {},
  ]) {
    const next = at.start();
    assert.deepEqual(next.check(values), checkInput(values));
  }
  const wrong = at.start();
  wrong.check({ ...PLAIN, port: 'none' });
  assert.equal(wrong.keep(), false);
});

test('settings in which a secret can stand are neither kept nor looked for', () => {
  using at = starts();
  for (const more of [
    { clients: { users: { alice: 'secret' } } },
    { upstreams: [{ host: 'proxy.corp.example' }] },
    { routes: { pac: 'http://me:secret@pac.example/' } },
    { routes: { proxy: ['http://me:secret@proxy.example:3128'] } },
    { admin: { listen: 'localhost:0', token: 'env:TOKEN' } },
  ]) {
    const start = at.start();
    start.check({ ...PLAIN, ...more });
    assert.equal(start.keep(), false, JSON.stringify(more));
  }
  assert.deepEqual([existsSync(at.path), at.reads], [false, 0]);
});

test('without the kept file, and without a folder, settings are checked', () => {
  using at = starts();
  const first = at.start();
  first.check(PLAIN);
  first.keep();
  rmSync(at.path);
  assert.deepEqual(at.start().check(PLAIN), checkInput(PLAIN));
  const homeless = new CheckedBefore(undefined);
  assert.deepEqual(homeless.check(PLAIN), checkInput(PLAIN));
  assert.equal(homeless.keep(), false);
});
