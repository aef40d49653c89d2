/** Published NTLM values (MS-NLMP §4.2, RFC 1320, Davenport, curl, Alpaca) and captures of real exchanges. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as z from 'zod';
import { Secret } from '../../src/contracts/secret.ts';
import { parseChallenges } from '../../src/protocol/http-auth/challenge.ts';
import { describeNtlm } from '../../src/protocol/ntlm/describe-ntlm.ts';
import { md4 } from '../../src/protocol/ntlm/md4.ts';
import {
  createNtlmAuthenticate,
  lmv2Response,
  type NtlmAuthenticateInput,
  ntlmv2Blob,
  ntlmv2Proof,
} from '../../src/protocol/ntlm/ntlm-authenticate.ts';
import { flagNames, HTTP_FLAGS, SPNEGO_FLAGS } from '../../src/protocol/ntlm/ntlm-flags.ts';
import { hmacMd5, ntHash, ntlmv2Hash } from '../../src/protocol/ntlm/ntlm-hash.ts';
import { encodeNegotiate, readNtlmChallenge } from '../../src/protocol/ntlm/ntlm-message.ts';
import { ntlmSignature, sealingKey, signingKey } from '../../src/protocol/ntlm/ntlm-session.ts';
import { AV, avValue } from '../../src/protocol/ntlm/ntlm-target-info.ts';
import { rc4 } from '../../src/protocol/ntlm/rc4.ts';

const text = readFileSync(new URL('ntlm-vectors.json', import.meta.url), 'utf8');
const { vectors, counts } = z
  .object({
    vectors: z.array(
      z.object({
        id: z.string(),
        group: z.string(),
        inputs: z.record(z.string(), z.unknown()),
        expected: z.unknown(),
      }),
    ),
    counts: z.object({ total: z.number() }),
  })
  .parse(JSON.parse(text));
type Vector = (typeof vectors)[number];

const hex = (digits: string): Buffer => Buffer.from(digits, 'hex');
const found = (id: string): Vector => {
  const one = vectors.find((vector) => vector.id === id);
  assert.ok(one, id);
  return one;
};
const expected = (id: string): string => z.string().parse(found(id).expected);
const input = ({ inputs }: Vector, name: string): string => z.string().parse(inputs[name]);
const is = (got: Uint8Array, { expected }: Vector): void => assert.equal(Buffer.from(got).toString('hex'), expected);

/** What §4.2.1 of MS-NLMP begins with. */
const common = found('common');
const password = new Secret(input(common, 'password'));
const identity = {
  user: input(common, 'user'),
  domain: input(common, 'userDom'),
  key: { kind: 'password', secret: password },
} as const;
const key = ntlmv2Hash(identity);
const serverChallenge = hex(input(common, 'serverChallenge'));
const clientChallenge = hex(input(common, 'clientChallenge'));
const randomKey = hex(input(common, 'randomSessionKey'));
const targetInfo = hex(input(found('v2-temp'), 'targetInfo'));
const blob = ntlmv2Blob(hex(input(common, 'time')), clientChallenge, targetInfo);
const proof = ntlmv2Proof(key, serverChallenge, blob);
const plaintext = hex(input(found('v1-seal'), 'plaintext_utf16le'));
const flags128 = Number.parseInt(expected('v1-flags'), 16);
const flags56 = (flags128 & ~0x20000000) >>> 0;
const flags40 = (flags56 & ~0x80000000) >>> 0;

const davenport = (): Parameters<typeof ntlmv2Hash>[0] => {
  const one = found('davenport-ntlmv2-response');
  const key = { kind: 'password', secret: new Secret(input(one, 'password')) } as const;
  return { user: input(one, 'user'), domain: input(one, 'domain'), key };
};

/** Answers a Type 2 of a vector as the product would. */
function answered(
  challenge: Buffer,
  more: Partial<NtlmAuthenticateInput> = {},
): ReturnType<typeof createNtlmAuthenticate> {
  const negotiate = encodeNegotiate(HTTP_FLAGS);
  const targetName = 'HTTP/proxy.example';
  const given = { negotiate, challenge, identity, workstation: 'COMPUTER', targetName, wallMs: 0 };
  return createNtlmAuthenticate({ ...given, clientChallenge, randomKey, ...more });
}

const described = (message: Buffer): Readonly<Record<string, string>> =>
  Object.fromEntries(describeNtlm(message).map(({ name, value }) => [name, value]));

const checks: Readonly<Record<string, (vector: Vector) => void>> = {
  common: () => assert.deepEqual([serverChallenge.length, clientChallenge.length, randomKey.length], [8, 8, 16]),
  'v1-flags': (one) => {
    assert.equal(hex(input(one, 'flags_le')).readUInt32LE().toString(16), one.expected);
    const names = 'UNICODE OEM SIGN SEAL NTLM ALWAYS_SIGN TARGET_TYPE_SERVER VERSION 128 KEY_EXCH 56';
    assert.equal(flagNames(flags128).join(' '), names);
  },
  ntowfv1: (one) => is(ntHash(password), one),
  'v1-session-base-key': (one) => is(md4(hex(input(one, 'ntowfv1'))), one),
  'v1-encrypted-session-key': (one) => is(rc4(hex(input(one, 'keyExchangeKey')))(randomKey), one),
  'v1-encrypted-session-key-nonNT': (one) => is(rc4(hex(input(one, 'keyExchangeKey')))(randomKey), one),
  'v1-encrypted-session-key-LMKEY': (one) => is(rc4(hex(expected('v1-lmkey-kxkey')))(randomKey), one),
  'v1-seal': (one) => is(rc4(randomKey)(plaintext), one),
  'ess-seal': (one) => is(rc4(sealingKey(hex(expected('ess-key-exchange-key')), 'client', flags56))(plaintext), one),
  'ess-sign': (one) => {
    const signing = signingKey(hex(expected('ess-key-exchange-key')), 'client');
    is(ntlmSignature(signing, undefined, 0, plaintext), one);
  },
  ntowfv2: (one) => is(key, one),
  'v2-temp': (one) => is(blob, one),
  'v2-ntproofstr': (one) => is(proof, one),
  'v2-lmv2-response': (one) => is(lmv2Response(key, serverChallenge, clientChallenge), one),
  'v2-session-base-key': (one) => is(hmacMd5(key, proof), one),
  'v2-encrypted-session-key': (one) => is(rc4(hmacMd5(key, proof))(randomKey), one),
  'v2-sealkey-128-initiate': (one) => is(sealingKey(randomKey, 'client', flags128), one),
  'v2-sealkey-128-accept': (one) => is(sealingKey(randomKey, 'server', flags128), one),
  'v2-sealkey-56-initiate': (one) => is(sealingKey(randomKey, 'client', flags56), one),
  'v2-sealkey-56-accept': (one) => is(sealingKey(randomKey, 'server', flags56), one),
  'v2-sealkey-40-initiate': (one) => is(sealingKey(randomKey, 'client', flags40), one),
  'v2-sealkey-40-accept': (one) => is(sealingKey(randomKey, 'server', flags40), one),
  'v2-signkey-client': (one) => is(signingKey(randomKey, 'client'), one),
  'v2-signkey-server': (one) => is(signingKey(randomKey, 'server'), one),
  'v2-seal': (one) => is(rc4(sealingKey(randomKey, 'client', flags128))(plaintext), one),
  'v2-sign': (one) => {
    const stream = rc4(sealingKey(randomKey, 'client', flags128));
    stream(plaintext);
    is(ntlmSignature(signingKey(randomKey, 'client'), stream, 0, plaintext), one);
  },
  // Both have the 24 bytes of version and MIC cut out (offset 0x58 of the first name, 64 bytes before it), so that every
  // offset is 24 too large: 172 + 16 = 188 bytes are pointed to, 164 are there. Put back, they say what MS-NLMP prints.
  'msg-authenticate-v1': (one) => {
    const cut = hex(z.string().parse(one.expected));
    assert.deepEqual([cut.length, cut.readUInt32LE(56) + cut.readUInt16LE(52)], [164, 188]);
    const whole = Buffer.concat([cut.subarray(0, 64), Buffer.alloc(24), cut.subarray(64)]);
    const { domain, user, workstation, 'session key': sessionKey, 'NT response': nt } = described(whole);
    assert.deepEqual([domain, user, workstation], ['Domain', 'User', 'COMPUTER']);
    assert.deepEqual([sessionKey, nt], ['••• (16 bytes)', 'NTLMv1, ••• (24 bytes)']);
    assert.equal(described(cut)['session key'], '(points outside of the message)');
  },
  'msg-authenticate-ess': (one) => {
    const cut = hex(z.string().parse(one.expected));
    const whole = Buffer.concat([cut.subarray(0, 64), Buffer.alloc(24), cut.subarray(64)]);
    assert.equal(described(whole).user, 'User');
    assert.equal(described(whole)['session key'], '(none)');
  },
  'msg-challenge-v1': (one) => {
    const read = readNtlmChallenge(hex(z.string().parse(one.expected)));
    assert.deepEqual([read.flags, read.targetName, read.targetInfo], [flags128, 'Server', undefined]);
    assert.deepEqual(read.serverChallenge, serverChallenge);
  },
  'warn-impacket-ntlmv2': (one) => {
    // An implementation that forgets the last four zeros of the blob. Ours must differ, by these four bytes alone.
    assert.notEqual(proof.toString('hex'), one.expected);
    is(ntlmv2Proof(key, serverChallenge, blob.subarray(0, -4)), one);
  },
  'davenport-nthash': (one) => is(ntHash(new Secret(input(one, 'password'))), one),
  'davenport-ntlmv2hash': (one) => {
    const key = { kind: 'password', secret: new Secret(input(one, 'password')) } as const;
    is(ntlmv2Hash({ user: input(one, 'user'), domain: input(one, 'domain'), key }), one);
  },
  'davenport-ntlmv2-response': (one) => {
    const own = ntlmv2Blob(hex(input(one, 'time')), hex(input(one, 'clientChallenge')), hex(input(one, 'targetInfo')));
    const made = ntlmv2Proof(ntlmv2Hash(davenport()), hex(input(one, 'serverChallenge')), own);
    is(Buffer.concat([made, own]), one);
  },
  'davenport-lmv2-response': (one) => {
    const from = found('davenport-ntlmv2-response');
    const challenges = [hex(input(from, 'serverChallenge')), hex(input(from, 'clientChallenge'))] as const;
    is(lmv2Response(ntlmv2Hash(davenport()), ...challenges), one);
  },
  'type1-0': (one) => {
    // The same layout as ours; flags and version are that client's own.
    const theirs = hex(z.string().parse(one.expected));
    const ours = encodeNegotiate(theirs.readUInt32LE(12));
    assert.deepEqual(ours.subarray(0, 32), theirs.subarray(0, 32));
    assert.equal(ours.length, theirs.length);
  },
  'type1-1': (one) => {
    const { domain, workstation } = described(hex(z.string().parse(one.expected)));
    assert.deepEqual([domain, workstation], ['MYDOMAIN', 'MYPC']);
  },
  'curl-type1': (one) => {
    const read = described(hex(z.string().parse(one.expected)));
    assert.deepEqual(read, {
      'NTLM message': 'Type 1, negotiate',
      flags: '0x00088206 OEM REQUEST_TARGET NTLM ALWAYS_SIGN EXTENDED_SESSIONSECURITY',
    });
  },
  'curl81-type3-message': (one) => {
    const read = described(hex(z.string().parse(one.expected)));
    assert.deepEqual([read.user, read.workstation, read.domain], ['testuser', 'WORKSTATION', '']);
    assert.deepEqual([read['NT response'], read.MIC], ['NTLMv1, ••• (24 bytes)', '(none)']);
  },
  'alpaca-type2': (one) => {
    const parts = z.record(z.string(), z.string()).parse(one.expected);
    const read = readNtlmChallenge(Buffer.from(input(one, 'b64'), 'base64'));
    assert.equal(read.serverChallenge.toString('hex'), parts.serverChallenge);
    assert.equal(read.flags, hex(parts.flags_le ?? '').readUInt32LE());
    assert.equal(read.targetName, parts.targetName);
  },
  'capture-ntlm_negotiate': (one) => {
    const { flags, version } = described(hex(z.string().parse(one.expected)));
    assert.match(flags ?? '', /^0xe20882b7 /);
    assert.equal(version, '10.0.17763');
  },
  'capture-ntlm_challenge': (one) => {
    const read = readNtlmChallenge(hex(z.string().parse(one.expected)));
    assert.equal(read.targetName, 'DOMAIN');
    assert.equal(avValue(read.targetInfo ?? [], AV.dnsComputer)?.toString('utf16le'), 'DC01.domain.local');
    assert.equal(avValue(read.targetInfo ?? [], AV.timestamp)?.toString('hex'), 'f8819288991ed601');
  },
  'capture-ntlm_authenticate': (one) => {
    const read = described(hex(z.string().parse(one.expected)));
    assert.deepEqual([read.user, read.domain], ['vagrant-domain@DOMAIN.LOCAL', '']);
    assert.equal(read.workstation, 'JBOREAN-LINUX');
    assert.equal(read['returned: DNS computer'], 'DC01.domain.local');
    assert.equal(read['client time'], '2020-04-30T02:46:22.414Z');
  },
  'capture-ntlm_authenticate_no_sign_seal': (one) => {
    const read = described(hex(z.string().parse(one.expected)));
    assert.deepEqual([read.user, read.workstation], ['vagrant', 'JBOREAN-LINUX']);
    assert.deepEqual([read['returned: target name'], read['returned: flags']], ['HOST/192.168.121.229', '0x2 (MIC)']);
    assert.deepEqual([read['LM response'], read.MIC], ['zeros, as with NTLMv2', '••• (16 bytes)']);
  },
};

/** By group: what every vector of it says. */
const groups: Readonly<Record<string, (vector: Vector) => void>> = {
  md4: (one) => is(md4(Buffer.from(input(one, 'ascii'))), one),
  'header-selection': (one) => {
    const values = z.array(z.string()).parse(one.inputs['Proxy-Authenticate']);
    const tokens = parseChallenges(values).flatMap(({ scheme, token68 }) =>
      scheme === 'ntlm' ? [token68 ?? null] : [],
    );
    assert.deepEqual(tokens, [one.expected]);
  },
};

/** LM and NTLMv1 are never computed here, and without DES and CRC-32 there is nothing that could. */
const V1 = 'belongs to LM or NTLMv1, which is never sent';
const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ['lmowfv1', V1],
  ['v1-nt-response', V1],
  ['v1-lm-response', V1],
  ['v1-lmkey-kxkey', V1],
  ['v1-sign', `${V1}: a CRC-32 signature, without extended security`],
  ['ess-nt-response', V1],
  ['ess-lm-response', V1],
  ['ess-key-exchange-key', `${V1}; it is the key of ess-seal and ess-sign, which run`],
  ['curl81-nt-response', V1],
  ['curl81-lm-response', V1],
]);

const runs = ({ id, group }: Vector): ((vector: Vector) => void) | undefined => checks[id] ?? groups[group];

test('every vector runs or is left out for a reason', () => {
  assert.equal(vectors.length, counts.total);
  const silent = vectors.filter((one) => (runs(one) !== undefined) === LEFT_OUT.has(one.id)).map(({ id }) => id);
  assert.deepEqual(silent, []);
  const known = new Set(vectors.map(({ id }) => id));
  assert.deepEqual(
    [...Object.keys(checks), ...LEFT_OUT.keys()].filter((id) => !known.has(id)),
    [],
  );
});

for (const one of vectors) {
  const run = runs(one);
  if (run) test(`ntlm ${one.id}`, () => run(one));
}

test('what is left out is never sent, with any flags that the server sets', () => {
  const challenges = [
    hex(expected('msg-challenge-v1')),
    Buffer.from(input(found('curl81-nt-response'), 'type2_b64'), 'base64'),
    Buffer.from(input(found('alpaca-type2'), 'b64'), 'base64'),
    hex(expected('capture-ntlm_challenge')),
  ];
  const secrets = [...LEFT_OUT.keys()].map(expected);
  for (const challenge of challenges) {
    for (const negotiate of [HTTP_FLAGS, SPNEGO_FLAGS].map(encodeNegotiate)) {
      for (const secret of [password, new Secret('testpass')]) {
        const withSecret = { ...identity, key: { kind: 'password', secret } } as const;
        const { message } = answered(challenge, { negotiate, identity: withSecret });
        assert.match(described(message)['NT response'] ?? '', /^NTLMv2, /);
        for (const wrong of secrets) assert.equal(message.includes(hex(wrong)), false);
      }
    }
  }
});
