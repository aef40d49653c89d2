import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { crc32c } from './crc32c.ts';
import type { ProxyHeaderProgress } from './progress.ts';
import { parseProxyHeader } from './proxy-header.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const IPV4 = 'c0000201 c6336402 dc04 01bb';
const NAMED = { address: '192.0.2.1', port: 56_324 };

/** A header of version 2 with the checksum of RFC 9260 in its TLV. */
function withChecksum(): Buffer {
  const header = hex(`${SIGNATURE} 21 11 0013 ${IPV4} 03 0004 00000000`);
  header.writeUInt32BE(crc32c(header), header.length - 4);
  return header;
}

const WHOLE: readonly (readonly [what: string, bytes: Buffer, client: unknown])[] = [
  ['TCP4 of version 1', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n'), NAMED],
  [
    'TCP6 of version 1',
    Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 1 443\r\n'),
    { address: '2001:db8::1', port: 1 },
  ],
  ['a mapped IPv4', Buffer.from('PROXY TCP6 ::ffff:192.0.2.1 ::1 56324 443\r\n'), NAMED],
  ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['UNKNOWN with addresses', Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n'), undefined],
  ['TCP4 of version 2', hex(`${SIGNATURE} 21 11 000c ${IPV4}`), NAMED],
  [
    'TCP6 of version 2',
    hex(`${SIGNATURE} 21 21 0024 20010db8${'0'.repeat(23)}1 ${'0'.repeat(31)}1 0001 01bb`),
    { address: '2001:db8::1', port: 1 },
  ],
  ['LOCAL', hex(`${SIGNATURE} 20 00 0000`), undefined],
  ['LOCAL with addresses', hex(`${SIGNATURE} 20 11 000c ${IPV4}`), undefined],
  ['UNSPEC', hex(`${SIGNATURE} 21 00 0000`), undefined],
  ['a Unix socket', hex(`${SIGNATURE} 21 31 00d8 ${'00'.repeat(216)}`), undefined],
  ['TLVs, which are skipped', hex(`${SIGNATURE} 21 11 0013 ${IPV4} 04 0004 00000000`), NAMED],
  ['a checksum', withChecksum(), NAMED],
];

describe('a PROXY header', () => {
  test('has the checksum of RFC 9260', () => assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283));
  for (const [what, bytes, client] of WHOLE) {
    test(`names its client: ${what}`, () => {
      const behind = Buffer.concat([bytes, Buffer.from('GET')]);
      assert.deepEqual(parseProxyHeader(behind), { at: 'header', length: bytes.length, client });
      for (let cut = 0; cut < bytes.length; cut++)
        assert.deepEqual(parseProxyHeader(bytes.subarray(0, cut)), { at: 'more' }, `cut at ${cut}`);
    });
  }
  test('means the same wherever it is cut, also for bytes that mean nothing', () => {
    const begin = fc.constantFrom(
      'PROXY ',
      'PROXY TCP4 1.2.3.4 5.6.7.8 1 2',
      Buffer.from(SIGNATURE, 'hex').toString('latin1'),
      '',
    );
    const piece = fc.oneof(
      fc.constantFrom('\r\n', ' ', '\x21\x11\0\x0c', '\x20\0\0\0', '\x03\0\x04'),
      fc.string({ unit: 'binary-ascii', maxLength: 8 }),
    );
    fc.assert(
      fc.property(begin, fc.array(piece, { maxLength: 12 }), (first, rest) => {
        const bytes = Buffer.from(first + rest.join(''), 'latin1');
        const whole = parseProxyHeader(bytes);
        for (let cut = 0; cut < bytes.length; cut++) {
          const part = parseProxyHeader(bytes.subarray(0, cut));
          // Once it is certain, more bytes change nothing.
          if (part.at !== 'more') assert.deepEqual(part, whole, `cut at ${cut}`);
        }
      }),
      { numRuns: 1_000, seed: 7 },
    );
  });
  const wrong = withChecksum();
  wrong.writeUInt8(wrong.readUInt8(20) ^ 1, 20);
  const malformed: readonly (readonly [what: string, bytes: Buffer, why: string])[] = [
    ['HTTP', Buffer.from('G'), 'no PROXY header'],
    ['TLS', Buffer.from([0x16]), 'no PROXY header'],
    ['a method like it', Buffer.from('PROXX'), 'no PROXY header'],
    ['an endless line', Buffer.from(`PROXY ${'x'.repeat(200)}`), 'a PROXY line of more than 107 bytes'],
    ['a family that differs', Buffer.from('PROXY TCP4 ::1 ::2 1 2\r\n'), 'a PROXY line that is not valid'],
    ['a leading zero', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n'), 'a PROXY line that is not valid'],
    ['two blanks', Buffer.from('PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n'), 'a PROXY line that is not valid'],
    ['a large port', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 70000 2\r\n'), 'a PROXY line that is not valid'],
    ['one word more', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n'), 'a PROXY line that is not valid'],
    ['another version', hex(`${SIGNATURE} 31`), 'a PROXY header with version and command 49'],
    ['another command', hex(`${SIGNATURE} 22`), 'a PROXY header with version and command 34'],
    ['datagrams', hex(`${SIGNATURE} 21 12`), 'a PROXY header with family and transport 18'],
    [
      'a length without addresses',
      hex(`${SIGNATURE} 21 11 000b`),
      'a PROXY header that is too short for its addresses',
    ],
    ['64 KiB', hex(`${SIGNATURE} 21 11 ffff`), 'a PROXY header of more than 4096 bytes'],
    ['half a TLV', hex(`${SIGNATURE} 21 11 000e ${IPV4} 0400`), 'a PROXY header whose TLVs do not fit'],
    ['a TLV that is too long', hex(`${SIGNATURE} 21 11 000f ${IPV4} 04 0001`), 'a PROXY header whose TLVs do not fit'],
    ['a wrong checksum', wrong, 'a PROXY header whose checksum is wrong'],
    ['a short checksum', hex(`${SIGNATURE} 21 11 0011 ${IPV4} 03 0002 0000`), 'a PROXY header whose checksum is wrong'],
  ];
  for (const [what, bytes, why] of malformed) {
    test(`is refused: ${what}`, () => {
      const expected: ProxyHeaderProgress = { at: 'malformed', why };
      assert.deepEqual(parseProxyHeader(bytes), expected);
    });
  }
});
