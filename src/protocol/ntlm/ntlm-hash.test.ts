import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../contracts/secret.ts';
import { ntHash, ntlmUpperCase, ntlmv2Hash, splitAccount } from './ntlm-hash.ts';
import { alpacaLines, cntlmLines, readNtlmCredentials } from './ntlm-hash-lines.ts';

const password = new Secret('SecREt01');
const hashed = { user: 'user', domain: 'DOMAIN' };

test('the same NTLMv2 hash from a password, an NT hash and an NTLMv2 hash', () => {
  const expected = '04b8e0ba74289cc540826bab1dee63ae';
  const keys = [
    { kind: 'password', secret: password },
    { kind: 'nt-hash', secret: new Secret('cd06ca7c7e10c99b1d33b7485a2ed808') },
    { kind: 'ntlmv2-hash', secret: new Secret(expected) },
  ] as const;
  for (const key of keys) assert.equal(ntlmv2Hash({ ...hashed, key }).toString('hex'), expected);
});

test('hashes passwords beyond ASCII and beyond the BMP as UTF-16', () => {
  // By iconv -t UTF-16LE and openssl dgst -md4 with its legacy provider.
  assert.equal(ntHash(new Secret('Pässwörd€')).toString('hex'), '04e9d4087e1303bea8e5239aa5ddd064');
  assert.equal(ntHash(new Secret('🔑pass𐐨')).toString('hex'), 'd17dc02dd2f8570fb0e407d73e5ff64c');
  assert.equal(ntHash(new Secret('')).toString('hex'), '31d6cfe0d16ae931b73c59d7e0c089c0');
});

test('converts a user name to upper case as Windows does', () => {
  const pairs: readonly (readonly [string, string])[] = [
    ['user.Name-1', 'USER.NAME-1'],
    ['jörg', 'JÖRG'],
    ['straße', 'STRAßE'],
    ['ÿ', 'Ÿ'],
    ['ișilț', 'IȘILȚ'],
    ['ıİiI', 'ıİII'],
    ['ſµ', 'ſµ'],
    ['νίκος', 'ΝΊΚΟΣ'],
    ['пётр', 'ПЁТР'],
    ['ǆǅ', 'Ǆǅ'],
    ['ﬁŉΐ', 'ﬁŉΐ'],
    ['გიორგი', 'გიორგი'],
    ['𐐨😀', '𐐨😀'],
  ];
  for (const [given, capital] of pairs) assert.equal(ntlmUpperCase(given), capital);
});

test('the domain is hashed in the case in which it is sent', () => {
  const key = { kind: 'password', secret: password } as const;
  const hash = (user: string, domain: string) => ntlmv2Hash({ user, domain, key }).toString('hex');
  assert.equal(hash('USER', 'DOMAIN'), hash('user', 'DOMAIN'));
  assert.notEqual(hash('user', 'domain'), hash('user', 'DOMAIN'));
});

test('takes the domain from the user name, unless it is given separately', () => {
  assert.deepEqual(splitAccount('CORP\\me'), { domain: 'CORP', user: 'me' });
  assert.deepEqual(splitAccount('me@corp.example'), { domain: 'corp.example', user: 'me' });
  assert.deepEqual(splitAccount('first@last@corp.example'), { domain: 'corp.example', user: 'first@last' });
  assert.deepEqual(splitAccount('me', 'CORP'), { domain: 'CORP', user: 'me' });
  assert.deepEqual(splitAccount('me'), { domain: '', user: 'me' });
  assert.deepEqual(splitAccount('me@corp.example', 'CORP'), { domain: 'CORP', user: 'me@corp.example' });
  assert.deepEqual(splitAccount('OLD\\me', 'CORP'), { domain: 'CORP', user: 'me' });
  assert.deepEqual(splitAccount('\\me'), { domain: '', user: 'me' });
});

test("prints Alpaca's two lines, and reads its variable back", () => {
  const [comment, line] = alpacaLines({ ...hashed, password });
  assert.equal(comment, '# Add this to your ~/.profile (or equivalent) and restart your shell');
  assert.equal(line, 'NTLM_CREDENTIALS="user@DOMAIN:cd06ca7c7e10c99b1d33b7485a2ed808"; export NTLM_CREDENTIALS');
  const read = readNtlmCredentials(new Secret('first@last@DOMAIN:CD06CA7C7E10C99B1D33B7485A2ED808'));
  assert.deepEqual([read?.user, read?.domain, read?.key.kind], ['first@last', 'DOMAIN', 'nt-hash']);
  assert.equal(read?.key.secret.reveal(), 'cd06ca7c7e10c99b1d33b7485a2ed808');
});

test('a shell reads the value from the line', () => {
  const [, line] = alpacaLines({ user: 'a"b$c`d\\e', domain: 'D', password });
  assert.equal(line.slice(0, line.indexOf(':')), 'NTLM_CREDENTIALS="a\\"b\\$c\\`d\\\\e@D');
});

test('refuses an invalid value of the variable', () => {
  const wrong = [
    '',
    'me',
    'me@D',
    'me:00',
    'me@D:0123',
    '@D:cd06ca7c7e10c99b1d33b7485a2ed808',
    `me@D:${'g'.repeat(32)}`,
  ];
  for (const value of wrong) assert.equal(readNtlmCredentials(new Secret(value)), undefined, value);
});

test('prints the lines of cntlm, which hashes the domain in upper case', () => {
  assert.deepEqual(cntlmLines({ user: 'user', domain: 'domain', password }), [
    'PassNT          CD06CA7C7E10C99B1D33B7485A2ED808',
    "PassNTLMv2      04B8E0BA74289CC540826BAB1DEE63AE    # Only for user 'user', domain 'domain'",
  ]);
});

test('a secret is not printed', () => {
  const identity = readNtlmCredentials(new Secret('me@D:cd06ca7c7e10c99b1d33b7485a2ed808'));
  assert.equal(JSON.stringify(identity).includes('cd06'), false);
});
