import assert from 'node:assert/strict';
import { readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { type Copy, LastCopies } from './last-copy.ts';

const copyOf = (text: string): Copy => ({
  text,
  namedBy: 'untrusted-pac',
  validators: { url: 'http://pac.example/p', etag: '"1"', lastModified: undefined },
  fetchedMs: 5,
});

test('gives back what was kept, to its owner alone', async () => {
  using folder = temporaryFolder();
  const at = join(folder.path, 'state', 'pac');
  const copies = new LastCopies(at);
  assert.equal(await copies.read('http://pac.example/p'), undefined);
  await copies.keep('http://pac.example/p', copyOf('one'));
  await copies.keep('http://pac.example/q', copyOf('other'));
  await copies.keep('http://pac.example/p', copyOf('two ä\ud800'));
  assert.deepEqual(await new LastCopies(at).read('http://pac.example/p'), copyOf('two ä\ud800'));
  assert.equal(statSync(at).mode & 0o777, 0o700);
  for (const name of readdirSync(at)) assert.equal(statSync(join(at, name)).mode & 0o777, 0o600, name);
});

test('a damaged file is no copy', async () => {
  using folder = temporaryFolder();
  const copies = new LastCopies(folder.path);
  await copies.keep('u', copyOf('text'));
  const path = join(folder.path, readdirSync(folder.path)[0] ?? '');
  for (let length = statSync(path).size - 1; length >= 0; length -= 7) {
    truncateSync(path, length);
    assert.equal(await copies.read('u'), undefined, `${length} bytes`);
  }
  for (const text of ['null', '[]', '{}', '{"version":1}', '{"version":1,"text":1,"namedBy":"user"}']) {
    writeFileSync(path, text);
    assert.equal(await copies.read('u'), undefined, text);
  }
});

test('keeps so many, and forgets those that were written longest ago', async () => {
  using folder = temporaryFolder();
  const copies = new LastCopies(folder.path);
  for (let at = 0; at < 18; at++) {
    await copies.keep(`u${at}`, copyOf(`${at}`));
    for (const name of readdirSync(folder.path)) {
      const path = join(folder.path, name);
      utimesSync(path, statSync(path).mtimeMs / 1000 - 10, statSync(path).mtimeMs / 1000 - 10);
    }
  }
  assert.equal(readdirSync(folder.path).length, 16);
  assert.deepEqual([await copies.read('u0'), await copies.read('u1')], [undefined, undefined]);
  assert.equal((await copies.read('u2'))?.text, '2');
  assert.equal((await copies.read('u17'))?.text, '17');
});
