import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { type CachedScript, ScriptCache } from './script-cache.ts';

const copyOf = (text: string): CachedScript => ({
  text,
  namedBy: 'untrusted-pac',
  validators: { url: 'http://pac.example/p', etag: '"1"', lastModified: undefined },
  fetchedMs: 5,
});

const unexpected = (message: string) => assert.fail(message);

test('returns what was stored, in files of mode 0600', async () => {
  using folder = temporaryFolder();
  const at = join(folder.path, 'state', 'pac');
  const copies = new ScriptCache(at, unexpected);
  assert.equal(await copies.read('http://pac.example/p'), undefined);
  await copies.keep('http://pac.example/p', copyOf('one'));
  await copies.keep('http://pac.example/q', copyOf('other'));
  await copies.keep('http://pac.example/p', copyOf('two ä\ud800'));
  assert.deepEqual(await new ScriptCache(at, unexpected).read('http://pac.example/p'), copyOf('two ä\ud800'));
  assert.equal(statSync(at).mode & 0o777, 0o700);
  for (const name of readdirSync(at)) assert.equal(statSync(join(at, name)).mode & 0o777, 0o600, name);
});

test('a damaged file is ignored', async () => {
  using folder = temporaryFolder();
  const copies = new ScriptCache(folder.path, unexpected);
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

test('stores a bounded number, and deletes those that were written longest ago', async () => {
  using folder = temporaryFolder();
  const copies = new ScriptCache(folder.path, unexpected);
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

const URL = 'https://pac.example/p';
const verified: CachedScript = {
  ...copyOf('text'),
  namedBy: 'pac',
  validators: { ...copyOf('').validators, url: URL },
};

/** Stores `verified` in a folder of its own, calls `change`, and returns what is read then, with its notices. */
async function afterChange(change: (folder: string, file: string) => void) {
  using folder = temporaryFolder();
  const pac = join(folder.path, 'pac');
  const notices: string[] = [];
  const copies = new ScriptCache(pac, (message) => notices.push(message));
  await copies.keep(URL, verified);
  change(pac, join(pac, readdirSync(pac)[0] ?? ''));
  const copy = await copies.read(URL);
  const kept = await copies.keep(URL, verified).then(
    () => 'kept',
    (error: Error) => error.message,
  );
  const names = (text: string) => text.replaceAll(folder.path, '').replace(/[0-9a-f]{32}/g, 'HASH');
  return { copy, notices: notices.map(names), kept: names(kept) };
}

const IGNORED = 'the cached PAC is not used: ';
const isPosix = process.platform === 'win32' ? 'owners and modes are others there' : false;

test('a file that others could have written is not used, and the notice says what to do', {
  skip: isPosix,
}, async () => {
  for (const mode of [0o620, 0o602, 0o666]) {
    const loose = await afterChange((_, file) => chmodSync(file, mode));
    assert.deepEqual(loose, {
      copy: undefined,
      notices: [`${IGNORED}/pac/HASH.json can be written by others; run chmod go-w /pac/HASH.json`],
      kept: 'kept',
    });
  }
  for (const mode of [0o770, 0o707, 0o1777]) {
    const loose = await afterChange((folder) => chmodSync(folder, mode));
    assert.deepEqual(loose, {
      copy: undefined,
      notices: [`${IGNORED}/pac can be written by others; run chmod go-w /pac`],
      kept: '/pac can be written by others; run chmod go-w /pac',
    });
  }
  const readable = await afterChange((folder, file) => {
    chmodSync(file, 0o644);
    chmodSync(folder, 0o755);
  });
  assert.deepEqual(readable, { copy: verified, notices: [], kept: 'kept' });
});

test('a file behind a symbolic link is not used', { skip: isPosix }, async () => {
  const linked = await afterChange((folder, file) => {
    renameSync(file, join(folder, 'elsewhere'));
    symlinkSync(join(folder, 'elsewhere'), file);
  });
  assert.deepEqual(linked, {
    copy: undefined,
    notices: [`${IGNORED}/pac/HASH.json is a symbolic link; remove it`],
    kept: 'kept',
  });
  const folderLinked = await afterChange((folder) => {
    renameSync(folder, `${folder}.real`);
    symlinkSync(`${folder}.real`, folder);
  });
  assert.deepEqual(folderLinked.notices, [`${IGNORED}/pac is a symbolic link; remove it`]);
  assert.deepEqual([folderLinked.copy, folderLinked.kept], [undefined, '/pac is a symbolic link; remove it']);
});

test('a file of another owner is not used', {
  skip: process.geteuid?.() === 0 ? isPosix : 'only root can give files away',
}, async () => {
  const given = await afterChange((_, file) => chownSync(file, 65_534, 65_534));
  assert.deepEqual(
    [given.copy, given.notices],
    [undefined, [`${IGNORED}/pac/HASH.json belongs to another user (uid 65534); remove it`]],
  );
  const folderGiven = await afterChange((folder) => chownSync(folder, 65_534, 65_534));
  assert.deepEqual(
    [folderGiven.copy, folderGiven.notices],
    [undefined, [`${IGNORED}/pac belongs to another user (uid 65534); remove it`]],
  );
});

test('a pipe or a folder is ignored, and does not block', async () => {
  for (const make of [
    (file: string) => mkdirSync(file),
    (file: string) => void spawnSync('mkfifo', ['-m', '600', file]),
  ]) {
    const { copy } = await afterChange((_, file) => {
      rmSync(file);
      make(file);
    });
    assert.equal(copy, undefined);
  }
});

test('a script is trusted no more than the schemes of its URLs allow, and one of an older version is ignored', async () => {
  using folder = temporaryFolder();
  const copies = new ScriptCache(folder.path, unexpected);
  const http = 'http://pac.example/p';
  for (const [from, last, namedBy, trusted] of [
    [URL, URL, 'pac', 'pac'],
    [URL, URL, 'untrusted-pac', 'untrusted-pac'],
    [URL, http, 'pac', 'untrusted-pac'],
    [http, URL, 'pac', 'untrusted-pac'],
    [http, http, 'pac', 'untrusted-pac'],
  ] as const) {
    await copies.keep(from, { ...verified, namedBy, validators: { ...verified.validators, url: last } });
    assert.equal((await copies.read(from))?.namedBy, trusted, `${from} ${last} ${namedBy}`);
  }
  await copies.keep(URL, verified);
  for (const name of readdirSync(folder.path)) {
    const path = join(folder.path, name);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"version":2', '"version":1'));
  }
  assert.equal(await copies.read(URL), undefined);
});
