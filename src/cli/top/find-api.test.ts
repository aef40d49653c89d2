import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { findApi } from './find-api.ts';

test('the token of the state folder goes to this machine alone, and one that a person gives goes where they say', async () => {
  using folder = temporaryFolder();
  mkdirSync(folder.path, { recursive: true });
  writeFileSync(join(folder.path, 'admin-token'), 'kept\n', { mode: 0o600 });
  const tokenFor = async (url: string, token?: string) => {
    const found = await findApi({ stateDir: folder.path, port: undefined, url, token });
    return found.kind === 'url' ? found.token : 'a socket';
  };
  for (const url of ['localhost:3129', 'http://127.0.0.1:3129', 'https://[::1]:3129', '127.1.2.3:1']) {
    assert.equal(await tokenFor(url), 'kept', url);
  }
  for (const url of [
    'https://proxy.example:3129',
    'http://192.0.2.1:3129',
    'http://localhost.example',
    'http://[::2]',
  ]) {
    assert.equal(await tokenFor(url), undefined, url);
  }
  assert.equal(await tokenFor('https://proxy.example:3129', 'given'), 'given');
});
