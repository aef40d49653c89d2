import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ProxyError } from '../../contracts/failure.ts';
import {
  formatAuthority,
  hostKey,
  isValidHostField,
  parseAuthority,
  parseAuthorityWithDefault,
  parseHost,
} from './authority.ts';

const refuses = (parse: () => unknown, text: string) =>
  assert.throws(parse, (error) => error instanceof ProxyError && error.code === 'bad_request', JSON.stringify(text));

const LONGEST_LABEL = 'a'.repeat(63);
const LONGEST_NAME = `${`${LONGEST_LABEL}.`.repeat(3)}${'b'.repeat(61)}`;

describe('the target of a CONNECT', () => {
  const accepted: [text: string, host: string, port: number][] = [
    ['example.com:443', 'example.com', 443],
    ['EXAMPLE.com:1', 'example.com', 1],
    ['example.com.:443', 'example.com.', 443],
    ['_dmarc.my-host.example:65535', '_dmarc.my-host.example', 65_535],
    ['localhost:8080', 'localhost', 8080],
    ['127.0.0.1:80', '127.0.0.1', 80],
    ['255.255.255.255:80', '255.255.255.255', 80],
    ['[::1]:443', '::1', 443],
    ['[2001:DB8::A]:443', '2001:db8::a', 443],
    ['[::ffff:169.254.169.254]:80', '::ffff:169.254.169.254', 80],
    ['1password.com:443', '1password.com', 443],
    ['0x.org:443', '0x.org', 443],
    ['a.0xg:443', 'a.0xg', 443],
    [`${LONGEST_NAME}:443`, LONGEST_NAME, 443],
    [`${LONGEST_NAME}.:443`, `${LONGEST_NAME}.`, 443],
  ];
  for (const [text, host, port] of accepted) {
    test(`${text.slice(0, 60)} is host and port`, () => assert.deepEqual(parseAuthority(text), { host, port }));
  }

  const refused: Record<string, string[]> = {
    'no port, or none that exists': [
      ...['', ':', ':443', 'a', 'a:', 'a:0', 'a:65536', 'a:99999', 'a:443443', 'a:-1', 'a:+1', 'a:1e3', 'a:0x50'],
      ...['a:443 ', 'a: 443', 'a:080', 'a:443:443', 'a:４４３', '[::1]', '[::1]:', '[::1]443', '[::1]x:443'],
    ],
    'more than an authority': ['u@a:1', 'u:p@a:1', 'http://a:1', 'a:1/', 'a/:1', 'a:1?q', 'a#f:1', 'a\\b:1', '//a:1'],
    'bytes that no name has': [
      ...['a\0:1', 'a\0.example:1', '\ta:1', 'a b:1', 'a\r\n:1', 'é.example:1', 'a%2eb:1', '127.0.0.%32:1', 'a,b:1'],
      ...['\u212Aelvin.example:1', 'a*:1', "a'b:1", '😀.example:1', '１２７.0.0.1:1', 'a\u3002b:1'],
    ],
    'labels that no name has': [
      ...['.:1', '..:1', '.a:1', 'a..b:1', 'a..:1', '...:1', `${'a'.repeat(64)}:1`, `${LONGEST_NAME}a:1`],
    ],
    'addresses as only inet_aton reads them': [
      ...['2130706433:1', '0x7f000001:1', '0X7F000001:1', '0177.0.0.1:1', '127.1:1', '127.0.1:1', '1.2.3.4.5:1'],
      ...['256.0.0.1:1', '01.2.3.4:1', '0x7f.0.0.1:1', '1.2.3.0x4:1', '0:1', '0x:1', 'example.1:1', 'a.0x1f:1'],
      ...['127.0.0.1.:1', '2130706433.:1', '0x7f000001.:1', '99999999999:1', '1.2.3:1'],
    ],
    'brackets round anything but IPv6': [
      ...['[blocked.example]:1', '[127.0.0.1]:1', '[]:1', '[::1:1', '::1:1', '::1]:1', '[[::1]]:1', '[v1.a]:1'],
      ...['[fe80::1%25lo]:1', '[fe80::1%lo]:1', '[::1].:1', '[1:2:3]:1', '[1::2::3]:1', '[:::]:1', '[::1 ]:1'],
      ...[
        '[::12345]:1',
        '[::127.1]:1',
        '[::0177.0.0.1]:1',
        '[1.2.3.4::]:1',
        '[1:2:3:4:5:6:7:8:9]:1',
        '[1:2:3:4:5:6:7::8]:1',
      ],
    ],
  };
  for (const [what, texts] of Object.entries(refused)) {
    test(`is refused with ${what}`, () => {
      for (const text of texts) refuses(() => parseAuthority(text), text);
    });
  }

  test('is never repeated in the detail, which goes into logs', () => {
    try {
      parseAuthority('secret%00name:1');
      assert.fail();
    } catch (error) {
      assert.ok(error instanceof ProxyError && !error.message.includes('secret'));
    }
  });
});

describe('the authority of a URL', () => {
  test('has the default port when it names none', () => {
    assert.deepEqual(parseAuthorityWithDefault('a.example', 80), { host: 'a.example', port: 80 });
    assert.deepEqual(parseAuthorityWithDefault('a.example:', 80), { host: 'a.example', port: 80 });
    assert.deepEqual(parseAuthorityWithDefault('[::1]', 80), { host: '::1', port: 80 });
    assert.deepEqual(parseAuthorityWithDefault('[::1]:8080', 80), { host: '::1', port: 8080 });
  });
  test('is refused when empty, with userinfo, or with an invalid port', () => {
    for (const text of ['', ':80', 'u@a', 'u:p@a', 'a:b', 'a:0', 'a:80:80', '::1', '[::1', '169.254.169.254\\@a']) {
      refuses(() => parseAuthorityWithDefault(text, 80), text);
    }
  });
});

test('a host alone has no port and is returned in lower case', () => {
  assert.equal(parseHost('A.Example.'), 'a.example.');
  assert.equal(parseHost('[::1]'), '::1');
  for (const text of ['a:80', '::1', '', '[a]']) refuses(() => parseHost(text), text);
});

test('a valid Host field is a host with or without a port', () => {
  for (const value of ['a', 'a.example:80', 'a:', '[::1]:80', '[::1]', '10.0.0.1'])
    assert.ok(isValidHostField(value), value);
  for (const value of ['', 'a/x', 'a, b', 'a b', 'u@a', 'http://a', 'a:x', '[a]', 'a\u00ff', ' a']) {
    assert.ok(!isValidHostField(value), value);
  }
});

test('rules compare hosts without the root dot, and addresses in one spelling', () => {
  assert.equal(hostKey('a.example.'), 'a.example');
  assert.equal(hostKey('a.example'), 'a.example');
  assert.equal(hostKey('2001:db8:0:0:0:0:0:1'), '2001:db8::1');
  assert.equal(hostKey('::ffff:127.0.0.1'), '127.0.0.1');
  assert.equal(hostKey('::ffff:7f00:1'), '127.0.0.1');
});

const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => [...labels, 'example'].join('.'));
const port = fc.integer({ min: 1, max: 65_535 });

test('a formatted authority is parsed to itself', () => {
  fc.assert(
    fc.property(fc.oneof(name, fc.ipV4(), fc.ipV6()), port, (host, number) => {
      const authority = { host: host.toLowerCase(), port: number };
      assert.deepEqual(parseAuthority(formatAuthority(authority)), authority);
    }),
  );
});

test('an accepted authority is formatted to the same text, and contains no invalid byte', () => {
  const byte = fc.string({ unit: fc.constantFrom(...'a1.:[]@/%0x-_ \0\tÿ'), maxLength: 20 });
  fc.assert(
    fc.property(fc.oneof(byte, fc.string({ unit: 'binary' })), (text) => {
      let authority: ReturnType<typeof parseAuthority>;
      try {
        authority = parseAuthority(text);
      } catch (error) {
        return assert.ok(error instanceof ProxyError && error.code === 'bad_request');
      }
      assert.match(authority.host, /^[a-z0-9_.:-]+$/);
      assert.equal(formatAuthority(authority), text.toLowerCase());
    }),
    { numRuns: 2000 },
  );
});
