/** What a scanner of TLS finds at a listener. Of the certificate nothing is judged: it is one for tests. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Authority } from '../support/authority.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

/** Protocols and cipher categories; to look for every known weakness takes minutes (`-U`; there is none). */
const CHECKS = ['-p', '-s'];

test('testssl.sh finds nothing at a TLS listener', { skip: missing('testssl.sh', 'openssl') }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  const tls = ca.issue('server', { subject: '/CN=localhost', names: 'DNS:localhost,IP:127.0.0.1' });
  await using proxy = await ProxyUnderTest.start({ listen: [{ url: 'https://127.0.0.1:0', tls }] });
  const report = `${folder.path}/findings.json`;
  const words = ['--quiet', '--color', '0', '--warnings', 'off', ...CHECKS, '--jsonfile', report];
  const { out } = await run('testssl', [...words, `127.0.0.1:${proxy.port}`]);
  const findings: Finding[] = JSON.parse(readFileSync(report, 'utf8'));
  const found = (id: string) => findings.find((one) => one.id === id)?.finding;
  assert.match(found('TLS1_2') ?? out, /^offered/);
  assert.match(found('TLS1_3') ?? out, /^offered/);
  const wrong = findings.filter(({ severity }) => !['OK', 'INFO', 'WARN'].includes(severity));
  assert.deepEqual(wrong, []);
});
