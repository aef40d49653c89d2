import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { missing } from '../../../test/support/requires.ts';
import { channelBindingHash, tlsServerEndPoint } from './channel-binding.ts';

/** A self-signed certificate with this kind of signature, in DER. */
function certificate(...how: readonly string[]): Buffer {
  const args = ['req', '-x509', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=p', '-days', '1', '-outform', 'DER'];
  return execFileSync('openssl', [...args, ...how], { stdio: ['ignore', 'pipe', 'ignore'] });
}

const RSA = ['-newkey', 'rsa:2048'] as const;
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] as const;
const PSS = ['-sigopt', 'rsa_padding_mode:pss'] as const;

test('hashes a certificate with the hash of its signature, but never with SHA-1', { skip: missing('openssl') }, () => {
  const cases: readonly (readonly [hash: string, how: readonly string[]])[] = [
    ['sha256', [...RSA, '-sha256']],
    ['sha512', [...RSA, '-sha512']],
    ['sha256', [...RSA, '-sha1']],
    ['sha384', [...EC, '-sha384']],
    ['sha256', [...RSA, ...PSS, '-sha256']],
    ['sha512', [...RSA, ...PSS, '-sha512']],
    ['sha256', [...RSA, ...PSS, '-sha1']],
  ];
  for (const [hash, how] of cases) {
    const der = certificate(...how);
    const expected = Buffer.concat([Buffer.from('tls-server-end-point:'), createHash(hash).update(der).digest()]);
    assert.deepEqual(tlsServerEndPoint(der), expected, how.join(' '));
  }
});

test('has no binding for a signature without a hash of its own', { skip: missing('openssl') }, () => {
  assert.equal(tlsServerEndPoint(certificate('-newkey', 'ed25519')), undefined);
});

test('has no binding for bytes that are not a certificate', () => {
  for (const bytes of ['', '3000', '30023000', '300430003000', '3006300030020500']) {
    assert.equal(tlsServerEndPoint(Buffer.from(bytes, 'hex')), undefined, bytes);
  }
});

test('hashes the bindings in the layout of GSS-API (RFC 2744 §3.11, little endian)', () => {
  // By python3: md5(16 zero bytes, '<I' of the length, the data).
  assert.equal(
    channelBindingHash(Buffer.from('tls-server-end-point:abc')).toString('hex'),
    'feb0fffbc725957540b287e8c838dfd9',
  );
});
