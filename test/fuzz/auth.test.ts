/** Mutated challenges and tokens: nothing is thrown but a ProxyError, nothing takes long, and no bound is passed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProxyError } from '../../src/contracts/failure.ts';
import { Secret } from '../../src/contracts/secret.ts';
import { describeSpnego } from '../../src/protocol/describe-spnego.ts';
import { parseChallenges } from '../../src/protocol/http-auth/challenge.ts';
import { digestCredentials, readDigestInfo, strongestDigest } from '../../src/protocol/http-auth/digest.ts';
import { describeNtlm } from '../../src/protocol/ntlm/describe-ntlm.ts';
import { createNtlmAuthenticate } from '../../src/protocol/ntlm/ntlm-authenticate.ts';
import { SPNEGO_FLAGS } from '../../src/protocol/ntlm/ntlm-flags.ts';
import { encodeNegotiate } from '../../src/protocol/ntlm/ntlm-message.ts';
import { encodeNegTokenInit, encodeNegTokenResp, MECH_NTLM, readNegotiateToken } from '../../src/protocol/spnego.ts';
import { tlsServerEndPoint } from '../../src/protocol/tls/channel-binding.ts';
import { isLong } from '../support/bulk.ts';
import { cpuMsOf } from '../support/cpu-ms.ts';

const RUNS = { numRuns: isLong ? 100_000 : 3_000 };

const CHALLENGES = [
  'Digest realm="a \\"b\\"", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="o", userhash=true, stale=false',
  'Negotiate YIIB+/w==, NTLM, Basic realm="a, b", charset="UTF-8"',
  'Newauth realm="apps", type=1, title="Login to \\"apps\\""',
];
const PIECES = ['"', '\\', ',', '=', ' ', '\t', 'NTLM ', 'Digest ', '""', '\\"', '==', '\xff', ';', 'nonce=', 'qop="'];

/** A text with a few pieces put in, or taken out. */
const mutatedText = fc
  .tuple(
    fc.constantFrom(...CHALLENGES),
    fc.array(fc.tuple(fc.nat(), fc.nat(8), fc.constantFrom(...PIECES)), { maxLength: 6 }),
  )
  .map(([text, changes]) =>
    changes.reduce((so, [at, cut, piece]) => {
      const from = at % (so.length + 1);
      return so.slice(0, from) + piece + so.slice(from + cut);
    }, text),
  );

const account = { user: 'Jörg', password: new Secret('x') };

test('to any challenge, the answer is one line, and its own parser reads it', () => {
  fc.assert(
    fc.property(fc.array(mutatedText, { maxLength: 3 }), (values) => {
      const challenges = parseChallenges(values);
      const digest = strongestDigest(challenges);
      if (digest === undefined) return;
      const use = { method: 'CONNECT', uri: 'a:443', count: 1, cnonce: 'c', body: Buffer.alloc(0) };
      const answer = digestCredentials(digest, use, account) ?? '';
      assert.match(answer, /^Digest [\t\x20-\x7e\x80-\xff]+$/);
      const params = parseChallenges([answer])[0]?.params;
      assert.equal(params?.get('uri'), 'a:443');
      assert.equal(params?.get('realm'), digest.realm);
      readDigestInfo(values[0] ?? '', digest, use, account);
    }),
    RUNS,
  );
});

test('any text is read in time that its length bounds', () => {
  for (const piece of PIECES) {
    const tookMs = cpuMsOf(() => parseChallenges([piece.repeat(60_000), `X ${piece.repeat(60_000)}`]));
    // Linear takes some milliseconds; quadratic would take minutes.
    assert.ok(tookMs < 2_000, JSON.stringify(piece));
  }
});

const CHALLENGE = Buffer.from(
  'TlRMTVNTUAACAAAADAAMADgAAAAFgomi+Rp9UDbAycMAAAAAAAAAAKIAogBEAAAABgEAAAAAAA9HAEwATwBCAEEATAACAAwARwBMAE8AQgBBAEwAAQ' +
    'AeAFAAWABZAEEAVQAwADAAMgBNAEUATAAwADEAMAAzAAQAHABnAGwAbwBiAGEAbAAuAGEAbgB6AC4AYwBvAG0AAwA8AHAAeAB5AGEAdQAwADAAMg' +
    'BtAGUAbAAwADEAMAAzAC4AZwBsAG8AYgBhAGwALgBhAG4AegAuAGMAbwBtAAcACABQ7ZOkOQbVAQAAAAA=',
  'base64',
);
const negotiate = encodeNegotiate(SPNEGO_FLAGS);
const input = {
  negotiate,
  identity: { user: 'Jörg', domain: 'CORP', key: { kind: 'password', secret: new Secret('password') } },
  workstation: 'PC',
  targetName: 'HTTP/proxy',
  wallMs: 0,
  clientChallenge: Buffer.alloc(8),
  randomKey: Buffer.alloc(16),
} as const;
const answer = createNtlmAuthenticate({ ...input, challenge: CHALLENGE }).message;
const TOKENS = [CHALLENGE, negotiate, answer].flatMap((message) => [
  message,
  encodeNegTokenInit([MECH_NTLM], message),
  encodeNegTokenResp(message, Buffer.alloc(16)),
]);

/** A token with some bytes changed, and perhaps cut. */
const mutatedToken = fc
  .tuple(fc.constantFrom(...TOKENS), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.option(fc.nat()))
  .map(([token, changes, cut]) => {
    const bytes = Buffer.from(token);
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return cut === null ? bytes : bytes.subarray(0, cut % (bytes.length + 1));
  });

test('any token is described, and answered or rejected with a ProxyError', () => {
  fc.assert(
    fc.property(mutatedToken, (token) => {
      for (const { value } of [...describeNtlm(token), ...describeSpnego(token)]) {
        assert.doesNotMatch(value, /\p{Cc}/u);
      }
      readNegotiateToken(token);
      tlsServerEndPoint(token);
      try {
        const { message } = createNtlmAuthenticate({ ...input, challenge: token });
        assert.equal(message.readUInt32LE(8), 3);
        assert.ok(message.length < 20 * 1024);
      } catch (error) {
        assert.ok(error instanceof ProxyError, String(error));
      }
    }),
    RUNS,
  );
});
