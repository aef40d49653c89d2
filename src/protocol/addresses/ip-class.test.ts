import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from './ip-address.ts';
import { classesOf, classify, type IpClass } from './ip-class.ts';

function classOf(text: string): IpClass {
  const address = parseIp(text);
  assert.ok(address, text);
  return classify(address);
}

/** The first and the last address of each block. */
const EXPECTED: Readonly<Record<IpClass, readonly string[]>> = {
  loopback: ['127.0.0.0', '127.255.255.255', '::1', '::', '0.0.0.0'],
  private: [
    '10.0.0.0',
    '10.255.255.255',
    '172.16.0.0',
    '172.31.255.255',
    '192.168.0.0',
    '192.168.255.255',
    'fc00::',
    'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    'fec0::',
    'feff:ffff::1',
  ],
  'link-local': ['169.254.0.0', '169.254.255.255', 'fe80::', 'febf:ffff::1'],
  metadata: [
    '169.254.169.254',
    '169.254.170.2',
    '169.254.170.23',
    '100.100.100.200',
    '192.0.0.192',
    '168.63.129.16',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd20:ce::254',
    'fe80::a9fe:a9fe',
  ],
  special: [
    '0.0.0.1',
    '0.255.255.255',
    '100.64.0.0',
    '100.127.255.255',
    '192.0.0.0',
    '192.0.0.255',
    '192.0.2.1',
    '192.88.99.1',
    '198.18.0.0',
    '198.19.255.255',
    '198.51.100.7',
    '203.0.113.7',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
    '100::1',
    '100:0:0:1::1',
    '2001:1::1',
    '2001:2::1',
    '2001:20::1',
    '2001:30::1',
    '2001:1ff:ffff::1',
    '2001:db8::1',
    '2001:db8:ffff::1',
    '3fff::1',
    '3fff:fff::1',
    '5f00::1',
    'ff00::',
    'ff02::1',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '4000::1',
    '1::1',
    '64:ff9b:2::1',
    '2620:4f:8000::1',
    '192.31.196.1',
    '192.52.193.1',
    '192.175.48.1',
  ],
  public: [
    '1.0.0.0',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.0.1.0',
    '192.0.3.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '2000::1',
    '2001:200::1',
    '2001:db7::1',
    '2001:db9::1',
    '2606:4700::1111',
    '3ffe:ffff::1',
    '3fff:1000::1',
  ],
};
for (const [word, addresses] of Object.entries(EXPECTED)) {
  test(`addresses of the class ${word}`, () => {
    for (const address of addresses) assert.equal(classOf(address), word, address);
  });
}

const hex = (octets: readonly number[]) => octets.map((octet) => octet.toString(16).padStart(2, '0')).join('');
const WAYS: Readonly<Record<string, (four: string) => string>> = {
  mapped: (four) => `::ffff:${four}`,
  translated: (four) => `::ffff:0:${four}`,
  compatible: (four) => `::${four}`,
  NAT64: (four) => `64:ff9b::${four}`,
  'local NAT64, 96 bits': (four) => `64:ff9b:1::${four}`,
  'local NAT64, 48 bits': (four) => {
    const [a = 0, b = 0, c = 0, d = 0] = four.split('.').map(Number);
    return `64:ff9b:1:${hex([a, b])}:${hex([0, c])}:${hex([d, 0])}::`;
  },
  '6to4': (four) => {
    const [a = 0, b = 0, c = 0, d = 0] = four.split('.').map(Number);
    return `2002:${hex([a, b])}:${hex([c, d])}::1`;
  },
  Teredo: (four) => {
    const [a = 0, b = 0, c = 0, d = 0] = four.split('.').map((octet) => Number(octet) ^ 0xff);
    return `2001:0:4136:e378:8000:63bf:${hex([a, b])}:${hex([c, d])}`;
  },
};
for (const [way, embed] of Object.entries(WAYS)) {
  test(`IPv4 inside IPv6 (${way}) is classified as the IPv4 address inside`, () => {
    for (const four of [
      '169.254.169.254',
      '127.0.0.1',
      '127.0.0.2',
      '10.0.0.1',
      '192.168.1.1',
      '169.254.1.1',
      '198.18.0.1',
      '8.8.8.8',
    ]) {
      assert.equal(classOf(embed(four)), classOf(four), embed(four));
    }
  });
}

test('ISATAP under a public prefix is classified as both', () => {
  assert.equal(classOf('2606:4700::5efe:10.0.0.1'), 'private');
  assert.equal(classOf('2606:4700::200:5efe:127.0.0.1'), 'loopback');
  assert.equal(classOf('fe80::5efe:8.8.8.8'), 'link-local');
});

test('a metadata address also has the class of its block', () => {
  const address = parseIp('169.254.169.254');
  assert.deepEqual(address && classesOf(address), ['metadata', 'link-local']);
});

const DANGER: readonly IpClass[] = ['metadata', 'loopback', 'private', 'link-local', 'special', 'public'];

test('no spelling of an embedded address has a less dangerous class than the IPv4 address', () => {
  fc.assert(
    // 0.x.x.x is left out: no translator sends to it, so it does not count as an address inside.
    fc.property(
      fc.ipV4().filter((four) => !four.startsWith('0.')),
      (four) => {
        for (const embed of Object.values(WAYS)) {
          assert.ok(DANGER.indexOf(classOf(embed(four))) <= DANGER.indexOf(classOf(four)), embed(four));
        }
      },
    ),
  );
});
