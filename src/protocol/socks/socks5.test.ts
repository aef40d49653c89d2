import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import type { ParseResult } from './socks-request.ts';
import {
  parseSocks5LoginReply,
  parseSocks5Method,
  parseSocks5Reply,
  socks5Connect,
  socks5Greeting,
  socks5Login,
} from './socks5.ts';

test('a greeting has the number of its methods', () => {
  assert.equal(socks5Greeting([0]).toString('hex'), '050100');
  assert.equal(socks5Greeting([0, 2]).toString('hex'), '05020002');
});

test('the lengths of a login are in bytes, not in characters', () => {
  assert.equal(socks5Login('ü', 'p:w').toString('hex'), '0102c3bc03703a77');
  assert.equal(socks5Login('u', '').toString('hex'), '01017500');
});

const ASKED: readonly (readonly [host: string, hex: string])[] = [
  ['192.0.2.7', '05010001c000020701bb'],
  ['2001:db8::1', '0501000420010db800000000000000000000000101bb'],
  ['a.test', '0501000306612e7465737401bb'],
];
for (const [host, hex] of ASKED) {
  test(`the request for ${host} has its type of address`, () => {
    assert.equal(socks5Connect({ host, port: 443 }).toString('hex'), hex);
  });
}

test('a text of more than 255 bytes is refused', () => {
  const tooLong = 'ü'.repeat(128);
  for (const make of [() => socks5Login(tooLong, ''), () => socks5Login('', tooLong)]) {
    assert.throws(make, { code: 'bad_request' });
  }
  assert.throws(() => socks5Connect({ host: tooLong, port: 1 }), { code: 'bad_request' });
});

const REPLIES: readonly (readonly [what: string, hex: string, value: number])[] = [
  ['an IPv4 address', '05000001c0000207d431', 0],
  ['an IPv6 address', '0500000420010db8000000000000000000000001d431', 0],
  ['a name', '0500000306612e74657374d431', 0],
  ['an empty name', '0500000300d431', 0],
];
for (const [what, hex, value] of REPLIES) {
  test(`a reply with ${what} is read, cut at any byte, and the bytes behind it are left`, () => {
    const reply = Buffer.from(hex, 'hex');
    const wire = Buffer.concat([reply, Buffer.from('SSH-2.0')]);
    for (let cut = 0; cut <= wire.length; cut++) {
      const expected: ParseResult<number> | undefined =
        cut < reply.length ? undefined : { value, length: reply.length };
      assert.deepEqual(parseSocks5Reply(wire.subarray(0, cut)), expected, `cut at ${cut}`);
    }
  });
}

test('a refusal is read without the address that should follow it', () => {
  assert.deepEqual(parseSocks5Reply(Buffer.from('0505', 'hex')), { value: 5, length: 2 });
});

test('a malformed reply is refused at its first wrong byte', () => {
  const isWrong = (error: unknown) => error instanceof ProxyError && error.code === 'upstream_protocol';
  assert.throws(() => parseSocks5Method(Buffer.from('H')), isWrong);
  assert.throws(() => parseSocks5Reply(Buffer.from('H')), isWrong);
  assert.throws(() => parseSocks5Reply(Buffer.from('05000002', 'hex')), isWrong);
  assert.throws(() => parseSocks5LoginReply(Buffer.from('02', 'hex')), isWrong);
});

test('the replies to a greeting and to a login have two bytes', () => {
  assert.equal(parseSocks5Method(Buffer.from('05', 'hex')), undefined);
  assert.deepEqual(parseSocks5Method(Buffer.from('0500', 'hex')), { value: 0, length: 2 });
  assert.deepEqual(parseSocks5Method(Buffer.from('05ff', 'hex')), { value: 255, length: 2 });
  assert.deepEqual(
    parseSocks5Method(Buffer.from('0501', 'hex')),
    { value: 1, length: 2 },
    'also one that was not offered',
  );
  assert.equal(parseSocks5LoginReply(Buffer.from('01', 'hex')), undefined);
  assert.deepEqual(parseSocks5LoginReply(Buffer.from('0101', 'hex')), { value: 1, length: 2 });
  assert.deepEqual(parseSocks5LoginReply(Buffer.from('0500', 'hex')), { value: 0, length: 2 });
});
