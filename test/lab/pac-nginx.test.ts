import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { type FetchScope, fetchScript } from '../../src/pac/fetch/fetcher.ts';
import { missing } from '../support/requires.ts';
import { trusting } from '../support/trusting.ts';
import { startNginx } from './nginx.ts';

const skip = missing('nginx');
const PAC = `// Größe\nfunction FindProxyForURL() { return "DIRECT" }\n${'// padding\n'.repeat(5_000)}`;

const scope: FetchScope = {
  signal: AbortSignal.timeout(20_000),
  resolve: async () => ['127.0.0.1'],
  isSelf: () => false,
  secure: trusting(),
};

test('a script is fetched once, and again when nginx reports a change', { skip }, async () => {
  await using nginx = await startNginx();
  const path = `${nginx.daemon.folder.path}/www/proxy.pac`;
  writeFileSync(path, PAC);
  const url = `http://localhost:${nginx.port}/proxy.pac`;
  const first = await fetchScript(url, undefined, scope);
  assert.ok(first.kind === 'script');
  assert.deepEqual([first.text, first.namedBy], [PAC, 'untrusted-pac']);
  assert.equal((await fetchScript(url, first.validators, scope)).kind, 'unchanged');
  // nginx makes its tag of size and second.
  writeFileSync(`${path}.new`, `${PAC}// changed\n`);
  renameSync(`${path}.new`, path);
  const next = await fetchScript(url, first.validators, scope);
  assert.equal(next.kind === 'script' && next.text, `${PAC}// changed\n`);
  await assert.rejects(fetchScript(`http://localhost:${nginx.port}/none.pac`, undefined, scope), /status 404/);
});

test('over TLS only a server with a valid certificate gives a script, which is trusted', { skip }, async () => {
  await using nginx = await startNginx();
  writeFileSync(`${nginx.daemon.folder.path}/www/proxy.pac`, PAC);
  const url = `https://localhost:${nginx.tlsPort}/proxy.pac`;
  await assert.rejects(fetchScript(url, undefined, scope), { code: 'certificate_rejected' });
  const withCa = { ...scope, secure: trusting(readFileSync(nginx.ca, 'utf8')) };
  const fetched = await fetchScript(url, undefined, withCa);
  assert.equal(fetched.kind === 'script' && fetched.namedBy, 'pac');
  await assert.rejects(fetchScript(url.replace('localhost', 'other.test'), undefined, withCa), /ALTNAME_INVALID/);
});
