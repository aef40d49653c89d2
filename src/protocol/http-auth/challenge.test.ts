import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAuthParams, parseChallenges } from './challenge.ts';

/** Challenges as comparable text: scheme, token, `name→value`. */
const read = (...values: string[]): string[] =>
  parseChallenges(values).map(({ scheme, token68, params }) =>
    [scheme, ...(token68 === undefined ? [] : [token68]), ...[...params].map(([k, v]) => `${k}→${v}`)].join(' '),
  );

test('reads the examples of RFC 9110 §11.6.1 and RFC 7235 §4.1', () => {
  assert.deepEqual(read('Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""'), [
    'basic realm→simple',
    'newauth realm→apps type→1 title→Login to "apps"',
  ]);
  assert.deepEqual(read('Newauth realm="apps", type=1,\ttitle="Login to \\"apps\\"", Basic realm="simple"'), [
    'newauth realm→apps type→1 title→Login to "apps"',
    'basic realm→simple',
  ]);
});

const SAME: readonly (readonly [what: string, values: string[], challenges: string[]])[] = [
  ['one field for each', ['Negotiate', 'NTLM', 'Basic realm="p"'], ['negotiate', 'ntlm', 'basic realm→p']],
  ['all in one field', ['Negotiate, NTLM,Basic realm="p"'], ['negotiate', 'ntlm', 'basic realm→p']],
  ['a token with padding', ['Negotiate YIIB+/w=='], ['negotiate YIIB+/w==']],
  [
    'a token between others',
    ['Basic realm=a, NTLM TlRM, Digest nonce=n'],
    ['basic realm→a', 'ntlm TlRM', 'digest nonce→n'],
  ],
  ['any case', ['nTLM', 'BASIC REALM="X"'], ['ntlm', 'basic realm→X']],
  ['blanks around the equals sign', ['Digest realm = "a" , nonce\t=\tb'], ['digest realm→a nonce→b']],
  ['no blank behind a comma', ['Digest realm="a",nonce="b",qop="auth"'], ['digest realm→a nonce→b qop→auth']],
  ['no comma between parameters', ['Digest realm="a" nonce="b" qop=auth'], ['digest realm→a nonce→b qop→auth']],
  ['no comma before a known scheme', ['Basic realm="a" NTLM'], ['basic realm→a', 'ntlm']],
  ['two schemes without a comma', ['Negotiate NTLM'], ['negotiate', 'ntlm']],
  ['empty elements', [', ,Basic realm="a",, ,NTLM,,'], ['basic realm→a', 'ntlm']],
  ['commas and schemes in quotes', ['Basic realm="a, NTLM, Digest nonce=x"'], ['basic realm→a, NTLM, Digest nonce=x']],
  ['an escaped backslash at the end', ['Basic realm="a\\\\", NTLM'], ['basic realm→a\\', 'ntlm']],
  ['an empty string', ['Basic realm=""'], ['basic realm→']],
  ['a quote that never closes', ['Basic realm="a, NTLM'], ['basic realm→a, NTLM']],
  ['a backslash that escapes nothing', ['Basic realm="a\\'], ['basic realm→a']],
  ['the first of two values', ['Digest nonce="a", nonce="b"'], ['digest nonce→a']],
  ['two words without quotes', ['Digest realm=two words, nonce="n"'], ['digest realm→two nonce→n']],
  ['a list that goes on in the next line', ['Digest realm="a"', 'nonce="n", NTLM'], ['digest realm→a nonce→n', 'ntlm']],
  ['octets beyond ASCII', ['Basic realm="\xfcber"'], ['basic realm→\xfcber']],
  ['a parameter without a challenge', ['realm="a", NTLM'], ['ntlm']],
  ['junk', ['"x" ;;; (a), NTLM, = , ==, @'], ['ntlm']],
  ['nothing', ['', ' ', ',,,'], []],
];

for (const [what, values, challenges] of SAME) {
  test(`reads ${what}`, () => assert.deepEqual(read(...values), challenges));
}

test('reads a bounded number of challenges, parameters and octets', () => {
  assert.equal(parseChallenges([`${'X, '.repeat(10_000)}`]).length, 32);
  const many = Array.from({ length: 10_000 }, (_, i) => `p${i}=1`).join(', ');
  assert.equal(parseChallenges([`Digest ${many}`])[0]?.params.size, 64);
  assert.equal(parseChallenges([`NTLM ${'A'.repeat(200_000)}`, 'Basic realm="a"'])[0]?.token68?.length, 64 * 1024 - 5);
});

test('reads parameters without a scheme', () => {
  const info = parseAuthParams('nextnonce="a,b", qop=auth , rspauth="00" nc=00000001,, junk');
  assert.deepEqual(
    [...info],
    [
      ['nextnonce', 'a,b'],
      ['qop', 'auth'],
      ['rspauth', '00'],
      ['nc', '00000001'],
    ],
  );
});
