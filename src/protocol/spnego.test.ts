import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeSpnego } from './describe-spnego.ts';
import { HTTP_FLAGS } from './ntlm/ntlm-flags.ts';
import { encodeNegotiate } from './ntlm/ntlm-message.ts';
import {
  encodeNegTokenInit,
  encodeNegTokenResp,
  MECH_KERBEROS,
  MECH_NTLM,
  mechTypeList,
  readNegotiateToken,
} from './spnego.ts';

const negotiate = encodeNegotiate(HTTP_FLAGS);
const base64 = (text: string): Buffer => Buffer.from(text, 'base64');

/** The first token of Samba's helper: mechanisms, and a hint in place of a MIC (MS-SPNG §2.2.1). */
const HINTS = base64(
  'YEgGBisGAQUFAqA+MDygDjAMBgorBgEEAYI3AgIKoyowKKAmGyRub3RfZGVmaW5lZF9pbl9SRkM0MTc4QHBsZWFzZV9pZ25vcmU=',
);

test('wraps NTLM as Windows does, and reads it back', () => {
  const token = encodeNegTokenInit([MECH_NTLM], negotiate);
  assert.equal(
    token.toString('hex'),
    `604806062b0601050502a03e303ca00e300c060a2b06010401823702020aa22a0428${negotiate.toString('hex')}`,
  );
  assert.deepEqual(readNegotiateToken(token), {
    kind: 'init',
    mechTypes: [MECH_NTLM],
    mechToken: negotiate,
    mechListMic: undefined,
  });
  assert.equal(mechTypeList([MECH_NTLM]).toString('hex'), '300c060a2b06010401823702020a');
});

test('sends the signature of the list where there is one', () => {
  const mic = Buffer.alloc(16, 1);
  for (const mechListMic of [mic, undefined]) {
    const read = readNegotiateToken(encodeNegTokenResp(negotiate, mechListMic));
    const expected = { kind: 'response', state: 'accept-incomplete', mech: undefined, responseToken: negotiate };
    assert.deepEqual(read, { ...expected, mechListMic });
  }
});

test('reads hints of a server, bare NTLM and bare Kerberos', () => {
  const read = readNegotiateToken(HINTS);
  assert.deepEqual(read, { kind: 'init', mechTypes: [MECH_NTLM], mechToken: undefined, mechListMic: undefined });
  assert.deepEqual(readNegotiateToken(negotiate), { kind: 'ntlm', message: negotiate });
  const kerberos = Buffer.from('600d06092a864886f7120102020100', 'hex');
  assert.deepEqual(readNegotiateToken(kerberos), { kind: 'mechanism', mech: MECH_KERBEROS });
});

test('reads the last token of a server: accepted, or not', () => {
  const state = (hex: string) => {
    const read = readNegotiateToken(Buffer.from(hex, 'hex'));
    return read?.kind === 'response' ? read.state : read;
  };
  assert.equal(state('a1073005a0030a0100'), 'accept-completed');
  assert.equal(state('a1073005a0030a0102'), 'reject');
  assert.equal(state('a1073005a0030a0109'), undefined);
  assert.equal(state('a1023000'), undefined);
});

test('reads no token that is cut at any byte', () => {
  for (const token of [encodeNegTokenInit([MECH_NTLM], negotiate), encodeNegTokenResp(negotiate, Buffer.alloc(16))]) {
    for (let cut = 0; cut < token.length; cut++) assert.equal(readNegotiateToken(token.subarray(0, cut)), undefined);
    assert.equal(readNegotiateToken(Buffer.concat([token, Buffer.alloc(1)])), undefined);
  }
});

test('describes a token and the message in it, without the signature', () => {
  const lines = (token: Buffer) => describeSpnego(token).map(({ name, value }) => `${name}: ${value}`);
  assert.deepEqual(lines(encodeNegTokenInit([MECH_KERBEROS, MECH_NTLM], negotiate)), [
    'Negotiate token: SPNEGO, first (NegTokenInit)',
    'mechanisms: Kerberos, NTLM',
    'NTLM message: Type 1, negotiate',
    'flags: 0xa2088207 UNICODE OEM REQUEST_TARGET NTLM ALWAYS_SIGN EXTENDED_SESSIONSECURITY VERSION 128 56',
    'version: 10.0.19045',
  ]);
  assert.equal(lines(encodeNegTokenResp(negotiate, Buffer.alloc(16, 1))).at(-1), 'mechListMIC: ••• (16 bytes)');
  assert.equal(lines(negotiate)[0], 'Negotiate token: NTLM, without SPNEGO');
  assert.deepEqual(lines(Buffer.from('junk')), ['Negotiate token: (unreadable, 4 bytes)']);
});

test('does not parse nested tokens', () => {
  let token = negotiate;
  for (let depth = 0; depth < 500; depth++) token = encodeNegTokenInit([MECH_NTLM], token);
  assert.equal(describeSpnego(token).length, 3);
});
