import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reasonOf } from './gss-reasons.ts';

const [NO_CRED, CREDENTIALS_EXPIRED, FAILURE] = [0x7_0000, 0xb_0000, 0xd_0000];
const unasked = (): string => assert.fail('the text was asked for');

test('a code of Kerberos says more than one of GSS-API', () => {
  for (const [major, minor, reason] of [
    [NO_CRED, -1_765_328_243, 'there is no Kerberos ticket: kinit gets one'],
    [NO_CRED, 0, 'there is no Kerberos ticket: kinit gets one'],
    [FAILURE, -1_765_328_352, 'the Kerberos ticket has run out: kinit gets a new one'],
    [CREDENTIALS_EXPIRED, 0, 'the Kerberos ticket has run out: kinit gets a new one'],
    [FAILURE, -1_765_328_377, 'Kerberos does not know this proxy by the name that its URL has'],
    [FAILURE, -1_765_328_347, 'the clocks of this machine and of Kerberos are too far apart'],
    [FAILURE, -1_765_328_236, 'the clocks of this machine and of Kerberos are too far apart'],
    [FAILURE, -1_765_328_228, 'no KDC can be reached'],
    [FAILURE, -1_765_328_366, 'Kerberos has locked the account, or its password has run out'],
    [NO_CRED, -1_765_328_352, 'the Kerberos ticket has run out: kinit gets a new one'],
  ] as const) {
    assert.equal(reasonOf({ major, minor }, unasked), reason, `${major} ${minor}`);
  }
});

test('a code that the table does not have gets the text of the library', () => {
  const text = (minor: number): string => `code ${minor}`;
  assert.equal(reasonOf({ major: FAILURE, minor: 22 }, text), 'Kerberos says: code 22');
});
