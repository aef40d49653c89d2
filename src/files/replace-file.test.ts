import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { replaceFile, replaceFileDurably } from './replace-file.ts';

const WAYS: Readonly<Record<string, (path: string, text: string) => void | Promise<void>>> = {
  replaceFile,
  replaceFileDurably,
};

for (const [name, replace] of Object.entries(WAYS)) {
  test(`${name}: makes the folder, keeps other users out, and leaves no temporary file`, async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'state', 'file.json');
    await replace(path, 'one');
    await replace(path, 'two');
    assert.equal(readFileSync(path, 'utf8'), 'two');
    assert.deepEqual(readdirSync(join(folder.path, 'state')), ['file.json']);
    if (process.platform === 'win32') return;
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder.path, 'state')).mode & 0o777, 0o700);
  });

  test(`${name}: fails without a trace where the rename fails`, async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'file.json');
    mkdirSync(join(path, 'inside'), { recursive: true });
    await assert.rejects(async () => await replace(path, 'text'));
    assert.deepEqual(readdirSync(folder.path), ['file.json']);
  });
}
