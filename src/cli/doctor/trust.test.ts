import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { selfSigned } from '../../../test/support/certificate.ts';
import { trustOf } from './trust.ts';

const office = selfSigned(['inspector.office']);
const chain = [new X509Certificate(office.cert)];

test('a root that Node brings, one that the system was given, and none are three results', () => {
  const other = selfSigned(['other.test']).cert;
  assert.equal(trustOf(chain, [other, office.cert], [office.cert]).by, 'public');
  assert.equal(trustOf(chain, [other], [other, office.cert]).by, 'system');
  assert.equal(trustOf(chain, [other], []).by, 'no-root');
  assert.deepEqual(trustOf([], [other], []), { by: 'no-root', top: 'no certificate' });
});

test('a certificate of a store that cannot be read is passed over', () => {
  assert.equal(
    trustOf(chain, ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'], [office.cert]).by,
    'system',
  );
});
