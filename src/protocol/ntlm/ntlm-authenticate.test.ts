import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import { Secret } from '../../contracts/secret.ts';
import { describeNtlm } from './describe-ntlm.ts';
import { createNtlmAuthenticate, fileTime, type NtlmAuthenticateInput, ntlmv2Proof } from './ntlm-authenticate.ts';
import { HTTP_FLAGS, KEY_EXCHANGE, OEM, SPNEGO_FLAGS, TARGET_INFO, UNICODE } from './ntlm-flags.ts';
import { hmacMd5, ntlmv2Hash } from './ntlm-hash.ts';
import { encodeNegotiate, fieldContent, MIC_AT, MIC_BYTES, readNtlmChallenge } from './ntlm-message.ts';
import { AV, type AvPair, avValue, encodeTargetInfo, readTargetInfo } from './ntlm-target-info.ts';
import { rc4 } from './rc4.ts';

const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');
const TIME: AvPair = { id: AV.timestamp, value: Buffer.from('0090d336b734c301', 'hex') };
const SERVER: readonly AvPair[] = [
  { id: AV.netbiosDomain, value: utf16('CORP') },
  { id: AV.dnsComputer, value: utf16('proxy.corp.example') },
];

/** A Type 2 with these flags and target info; `undefined`: an old one, without. */
function challenge(flags: number, facts: readonly AvPair[] | undefined): Buffer {
  const head = Buffer.alloc(facts ? 56 : 32);
  head.write('NTLMSSP\0', 'latin1');
  head.writeUInt32LE(2, 8);
  head.writeUInt32LE((flags | (facts ? TARGET_INFO : 0)) >>> 0, 20);
  head.write('0123456789abcdef', 24, 'hex');
  if (!facts) return head;
  const info = encodeTargetInfo(facts);
  head.writeUInt16LE(info.length, 40);
  head.writeUInt16LE(info.length, 42);
  head.writeUInt32LE(head.length, 44);
  return Buffer.concat([head, info]);
}

const identity = { user: 'User', domain: 'CORP', key: { kind: 'password', secret: new Secret('Password') } } as const;
const base: NtlmAuthenticateInput = {
  negotiate: encodeNegotiate(HTTP_FLAGS),
  challenge: challenge(HTTP_FLAGS, [...SERVER, TIME]),
  identity,
  workstation: 'PC',
  targetName: 'HTTP/proxy.corp.example',
  wallMs: Date.UTC(2026, 0, 1),
  clientChallenge: Buffer.alloc(8, 0xaa),
  randomKey: Buffer.alloc(16, 0x55),
};
const answer = (more: Partial<NtlmAuthenticateInput> = {}) => createNtlmAuthenticate({ ...base, ...more });

/** The parts of the NT response. */
function responseOf(message: Buffer): { proof: Buffer; blob: Buffer; facts: readonly AvPair[]; lm: Buffer } {
  const response = fieldContent(message, 20) ?? Buffer.alloc(0);
  const blob = response.subarray(16);
  const facts = readTargetInfo(blob.subarray(28, -4));
  return {
    proof: response.subarray(0, 16),
    blob,
    facts: facts ?? [],
    lm: fieldContent(message, 12) ?? Buffer.alloc(0),
  };
}

test('the Type 1 is that of browsers on Windows', () => {
  assert.equal(
    encodeNegotiate(HTTP_FLAGS).toString('hex'),
    '4e544c4d53535000010000000782 08a2 0000000028000000 0000000028000000 0a00654a0000000f'.replaceAll(' ', ''),
  );
});

test("copies the server's target info in order, and adds the name of the service and the bindings", () => {
  const channelBinding = Buffer.alloc(16, 7);
  const { facts, blob, proof } = responseOf(answer({ channelBinding }).message);
  assert.deepEqual(facts, [
    ...SERVER,
    TIME,
    { id: AV.flags, value: Buffer.from([2, 0, 0, 0]) },
    { id: AV.channelBindings, value: channelBinding },
    { id: AV.targetName, value: utf16('HTTP/proxy.corp.example') },
  ]);
  assert.deepEqual(blob.subarray(8, 16), TIME.value);
  assert.deepEqual(proof, ntlmv2Proof(ntlmv2Hash(identity), Buffer.from('0123456789abcdef', 'hex'), blob));
});

test("replaces pairs that belong to the client, and keeps the server's flags", () => {
  const pairs = [
    { id: AV.flags, value: Buffer.from([1, 0, 0, 0]) },
    { id: AV.targetName, value: utf16('HTTP/elsewhere') },
    { id: AV.channelBindings, value: Buffer.alloc(16, 9) },
    TIME,
  ];
  const { facts } = responseOf(answer({ challenge: challenge(HTTP_FLAGS, pairs) }).message);
  assert.equal(facts.length, 4);
  assert.deepEqual(avValue(facts, AV.flags), Buffer.from([3, 0, 0, 0]));
  assert.deepEqual(avValue(facts, AV.targetName), utf16('HTTP/proxy.corp.example'));
  assert.deepEqual(avValue(facts, AV.channelBindings), Buffer.alloc(16));
});

test('signs all three messages when the server sends a timestamp, and then sends no LM response', () => {
  const { message, mic } = answer();
  assert.equal(mic, 'sent');
  const { proof, lm } = responseOf(message);
  assert.deepEqual(lm, Buffer.alloc(24));
  const key = hmacMd5(ntlmv2Hash(identity), proof);
  const unsigned = Buffer.from(message).fill(0, MIC_AT, MIC_AT + MIC_BYTES);
  assert.deepEqual(
    message.subarray(MIC_AT, MIC_AT + MIC_BYTES),
    hmacMd5(key, base.negotiate, base.challenge, unsigned),
  );
});

test('uses its own time when the server sends none, with an LMv2 response and without a MIC', () => {
  const { message, mic } = answer({ challenge: challenge(HTTP_FLAGS, SERVER) });
  const { blob, facts, lm } = responseOf(message);
  assert.equal(mic, 'none');
  assert.deepEqual(blob.subarray(8, 16), fileTime(base.wallMs));
  assert.equal(avValue(facts, AV.flags), undefined);
  assert.deepEqual(lm.subarray(16), base.clientChallenge);
  assert.deepEqual(message.subarray(MIC_AT, MIC_AT + MIC_BYTES), Buffer.alloc(16));
});

test('responds to an old server without target info with an empty one', () => {
  const { message } = answer({ challenge: challenge(HTTP_FLAGS, undefined) });
  const { blob } = responseOf(message);
  assert.deepEqual(blob.subarray(28), Buffer.alloc(8));
});

test('exchanges a key only where a signature needs one', () => {
  const plain = answer({ challenge: challenge((SPNEGO_FLAGS | KEY_EXCHANGE) >>> 0, [TIME]) });
  assert.equal(fieldContent(plain.message, 52)?.length, 0);
  assert.equal(plain.session.flags & KEY_EXCHANGE, 0);

  const negotiate = encodeNegotiate(SPNEGO_FLAGS);
  const { message, session } = answer({ negotiate, challenge: challenge(SPNEGO_FLAGS, [TIME]) });
  const key = hmacMd5(ntlmv2Hash(identity), responseOf(message).proof);
  assert.deepEqual(fieldContent(message, 52), rc4(key)(base.randomKey));
  assert.equal(session.firstSignature('client', Buffer.from('x'))?.length, 16);
  assert.notDeepEqual(
    session.firstSignature('server', Buffer.from('x')),
    session.firstSignature('client', Buffer.from('x')),
  );
});

test('writes names in Unicode, also beyond the BMP', () => {
  const who = { ...identity, user: 'Jörg𐐨', domain: 'BÜRO' };
  const fields = describeNtlm(answer({ identity: who }).message);
  assert.deepEqual(
    fields.slice(1, 4).map(({ value }) => value),
    ['BÜRO', 'Jörg𐐨', 'PC'],
  );
});

test('falls back to ASCII for a server without Unicode, and sends no name that this would change', () => {
  const old = challenge((HTTP_FLAGS & ~UNICODE) >>> 0, SERVER);
  const { message } = answer({ challenge: old });
  assert.equal(message.readUInt32LE(60) & (OEM | UNICODE), OEM);
  assert.deepEqual(fieldContent(message, 36), Buffer.from('User'));
  assert.throws(
    () => answer({ challenge: old, identity: { ...identity, user: 'Jörg' } }),
    (error) => error instanceof ProxyError && error.code === 'upstream_auth_failed',
  );
});

test('responds to the largest challenge that is read, and refuses a larger one and a name that is too long', () => {
  const facts = (bytes: number) => [TIME, { id: AV.dnsTree, value: Buffer.alloc(bytes) }];
  const largest = 16 * 1024 - 56 - 4 - 12 - 4;
  assert.ok(answer({ challenge: challenge(HTTP_FLAGS, facts(largest)) }).message.length > largest);
  assert.throws(() => answer({ challenge: challenge(HTTP_FLAGS, facts(largest + 1)) }), /is not an NTLM message/);
  assert.throws(() => answer({ identity: { ...identity, user: 'x'.repeat(40_000) } }), /too long/);
});

test('refuses challenges with a field outside of them, cut at any byte', () => {
  const whole = challenge(HTTP_FLAGS, [...SERVER, TIME]);
  for (let cut = 0; cut < whole.length; cut++) {
    // Cut where an old challenge ends it is a valid one, as long as no field points behind its end.
    if (cut >= 32 && cut < 48) continue;
    assert.throws(
      () => readNtlmChallenge(whole.subarray(0, cut)),
      (error) => error instanceof ProxyError && error.code === 'upstream_protocol',
      `cut at ${cut}`,
    );
  }
  const far = Buffer.from(whole);
  far.writeUInt32LE(0xffffffff, 44);
  assert.throws(() => readNtlmChallenge(far), /has a field that points outside of it/);
  assert.throws(() => readNtlmChallenge(base.negotiate), /has type 1/);
});

test('describes its message without bytes from which the password could be guessed', () => {
  const negotiate = encodeNegotiate(SPNEGO_FLAGS);
  const { message } = answer({ negotiate, challenge: challenge(SPNEGO_FLAGS, [...SERVER, TIME]) });
  assert.deepEqual(
    describeNtlm(message).map(({ name, value }) => `${name}: ${value}`),
    [
      'NTLM message: Type 3, authenticate',
      'domain: CORP',
      'user: User',
      'workstation: PC',
      'LM response: zeros, as with NTLMv2',
      `NT response: NTLMv2, ••• (${fieldContent(message, 20)?.length} bytes)`,
      'client time: 2003-06-17T10:00:00.000Z',
      'returned: NetBIOS domain: CORP',
      'returned: DNS computer: proxy.corp.example',
      'returned: server time: 2003-06-17T10:00:00.000Z',
      'returned: flags: 0x2 (MIC)',
      'returned: channel bindings: none',
      'returned: target name: HTTP/proxy.corp.example',
      'session key: ••• (16 bytes)',
      'flags: 0xe2888215 UNICODE REQUEST_TARGET SIGN NTLM ALWAYS_SIGN EXTENDED_SESSIONSECURITY TARGET_INFO VERSION 128 KEY_EXCH 56',
      'version: 10.0.19045',
      'MIC: ••• (16 bytes)',
    ],
  );
});

test('escapes control characters in names, and describes malformed messages without failing', () => {
  const message = challenge(HTTP_FLAGS, [{ id: AV.dnsDomain, value: utf16('a\x1b[2J\u202eb') }]);
  assert.deepEqual(describeNtlm(message).at(-2)?.value, 'a\\u{1b}[2J\\u{202e}b');
  for (let cut = 0; cut < base.challenge.length; cut++) describeNtlm(base.challenge.subarray(0, cut));
  assert.equal(describeNtlm(Buffer.from('NTLMSSP\0\x04\0\0\0'))[0]?.value, '(unknown type)');
});
