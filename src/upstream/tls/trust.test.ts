import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { selfSigned } from '../../../test/support/certificate.ts';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { upstreamsSchema } from '../options.ts';
import { TLS_RULES, TrustError, tlsSettings } from './trust.ts';

test('the first entry that matches a proxy holds for it; all others are trusted as this machine does', () => {
  using folder = temporaryFolder();
  const ca = join(folder.path, 'ca.pem');
  writeFileSync(ca, selfSigned().cert);
  const settings = tlsSettings([
    { host: 'proxy.corp', serverName: 'first.corp' },
    { host: '.corp', ca, serverName: 'second.corp' },
    { host: '10.0.0.0/8', ca },
  ]);
  const machine = settings('elsewhere.example');
  const { secureContext, ...rules } = machine;
  assert.ok(secureContext);
  assert.deepEqual(rules, TLS_RULES);
  assert.deepEqual(settings('PROXY.corp.'.toLowerCase()), { ...machine, servername: 'first.corp' });
  const second = settings('b.corp');
  assert.equal(second.servername, 'second.corp');
  assert.notEqual(second.secureContext, machine.secureContext);
  assert.equal(settings('c.corp').secureContext, second.secureContext);
  assert.notEqual(settings('10.1.2.3').secureContext, machine.secureContext);
});

const WRONG: readonly (readonly [what: string, text: string | undefined, says: RegExp])[] = [
  ['is not there', undefined, /cannot be read: ENOENT$/],
  ['is not a file of certificates', 'x'.repeat(16 * 1024 * 1024 + 1), /is larger than 16 MiB/],
  ['holds no certificate', 'MIIB', /holds no certificate; it wants PEM/],
  [
    'holds a damaged certificate',
    `${selfSigned().cert}-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n`,
    /certificate 2 is damaged$/,
  ],
];
for (const [what, text, says] of WRONG) {
  test(`a file that ${what} is reported with the entry that names it`, () => {
    using folder = temporaryFolder();
    const ca = join(folder.path, 'ca.pem');
    if (text !== undefined) writeFileSync(ca, text);
    assert.throws(
      () => tlsSettings([{ host: 'a.test' }, { host: 'b.test', ca }]),
      (error) => error instanceof TrustError && error.at === 1 && says.test(error.message),
    );
  });
}

test('settings of a proxy are checked as they are written', () => {
  const accepts = (entry: object) => upstreamsSchema.safeParse([entry]).success;
  assert.equal(accepts({ host: 'proxy.corp', ca: 'ca.pem', serverName: 'proxy.corp.example' }), true);
  assert.equal(accepts({ host: '.corp' }), true);
  for (const wrong of [{}, { host: 'a b' }, { host: 'a', serverName: '10.0.0.1' }, { host: 'a', serverName: 'a:1' }]) {
    assert.equal(accepts(wrong), false, JSON.stringify(wrong));
  }
});
