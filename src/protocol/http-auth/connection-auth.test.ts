import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Headers } from '../../contracts/request.ts';
import {
  hasConnectionChallenge,
  hasConnectionCredentials,
  supportsSessions,
  withoutConnectionChallenges,
} from './connection-auth.ts';

const asks = (value: string): Headers => [['WWW-Authenticate', value]];

for (const value of [
  'NTLM',
  'ntlm TlRMTVNTUAAC==',
  'Negotiate',
  'Basic realm="a, b", Negotiate',
  'Kerberos',
  'Nego2',
]) {
  test(`${value} is a challenge for a connection`, () => {
    assert.equal(hasConnectionChallenge(asks(value)), true);
    assert.equal(hasConnectionCredentials([['authorization', value.split(', ').at(-1) ?? '']]), true);
    assert.equal(hasConnectionCredentials(asks(value)), false);
  });
}
for (const value of [
  '',
  'Basic realm="NTLM, Negotiate"',
  'Digest realm="x", nonce="negotiate"',
  'Bearer abc',
  'NTLMv2',
]) {
  test(`${JSON.stringify(value)} is not`, () => {
    assert.equal(hasConnectionChallenge(asks(value)), false);
    assert.equal(hasConnectionCredentials([['Authorization', value]]), false);
  });
}

const LEFT: readonly (readonly [value: string, kept: string | undefined, left: readonly string[]])[] = [
  ['NTLM', undefined, ['NTLM']],
  ['Negotiate YII=', undefined, ['Negotiate']],
  ['Basic realm="a, b", Negotiate', 'Basic realm="a, b"', ['Negotiate']],
  ['Negotiate, Basic realm="x"', 'Basic realm="x"', ['Negotiate']],
  [
    'NTLM TlRM==, Digest realm="x", nonce = "a\\", NTLM", qop=auth,, Negotiate',
    'Digest realm="x", nonce = "a\\", NTLM", qop=auth',
    ['NTLM', 'Negotiate'],
  ],
  ['Bearer, negotiate, Bearer scope="a b", x=1', 'Bearer, Bearer scope="a b", x=1', ['negotiate']],
  ['Basic realm="NTLM"', 'Basic realm="NTLM"', []],
  ['Negotiate NTLM', undefined, ['Negotiate']],
];
for (const [value, kept, left] of LEFT) {
  test(`${value} without them is: ${kept}`, () => {
    const before: Headers = [['A', '1'], ...asks(value), ['Proxy-Authenticate', 'NTLM']];
    const found = withoutConnectionChallenges(before);
    assert.deepEqual(found.kept, [
      ['A', '1'],
      ...(kept === undefined ? [] : asks(kept)),
      ['Proxy-Authenticate', 'NTLM'],
    ]);
    assert.deepEqual(found.removed, left);
    assert.equal(hasConnectionChallenge(found.kept), false);
  });
}

test('Proxy-Support is a list of tokens in any case', () => {
  assert.equal(supportsSessions([['proxy-support', 'x, session-based-AUTHENTICATION']]), true);
  assert.equal(supportsSessions([['proxy-support', 'Session-Based']]), false);
});
