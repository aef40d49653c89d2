import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  CidrMap,
  CidrSet,
  formatIp,
  type IpAddress,
  knownCidr,
  parseCidr,
  parseIp,
  parseIpWithZone,
  withoutMapping,
} from './ip-address.ts';

function ip(text: string): IpAddress {
  const address = parseIp(text);
  assert.ok(address, text);
  return address;
}

describe('an address', () => {
  test('is parsed into its octets', () => {
    assert.deepEqual(parseIp('192.0.2.1'), { family: 4, octets: [192, 0, 2, 1] });
    assert.deepEqual(ip('2001:db8::ff').octets, [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]);
    assert.deepEqual(ip('::ffff:1.2.3.4').octets, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4]);
  });
  test('is not a text that only some parsers accept', () => {
    for (const text of [
      '',
      '1',
      '1.2.3',
      '01.2.3.4',
      '1.2.3.4.',
      '1.2.3.256',
      '0x1.2.3.4',
      '1.2.3.4/8',
      ' 1.2.3.4',
      ':',
      ':::',
      '1::2::3',
      '::1%lo',
      '[::1]',
      '::12345',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8',
      '::1.2.3',
      '1.2.3.4::',
      '::1.2.3.4:5',
      'g::',
      ':1:2:3:4:5:6:7:8',
      '1:2:3:4:5:6:7:',
    ]) {
      assert.equal(parseIp(text), undefined, text);
    }
  });
  test('may come from the operating system with a zone id', () => {
    assert.deepEqual(parseIpWithZone('fe80::1%eth0'), ip('fe80::1'));
    assert.deepEqual(parseIpWithZone('10.0.0.1'), ip('10.0.0.1'));
    assert.equal(parseIpWithZone('%eth0'), undefined);
  });
  test('has one canonical spelling', () => {
    for (const [given, canonical] of [
      ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['0:0:0:0:0:0:0:0', '::'],
      ['0:0:0:0:0:0:0:1', '::1'],
      ['1:0:0:0:0:0:0:0', '1::'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
      ['::FFFF:127.0.0.1', '::ffff:7f00:1'],
      ['10.0.0.1', '10.0.0.1'],
    ] as const) {
      assert.equal(formatIp(ip(given)), canonical);
    }
  });
  test('that is IPv4-mapped is the IPv4 address inside, in either spelling', () => {
    assert.equal(formatIp(withoutMapping(ip('::ffff:169.254.169.254'))), '169.254.169.254');
    assert.equal(formatIp(withoutMapping(ip('::ffff:a9fe:a9fe'))), '169.254.169.254');
    assert.equal(formatIp(withoutMapping(ip('::fffe:1.2.3.4'))), '::fffe:102:304');
  });
});

const text = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.ipV4Extended(),
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef:.%'), maxLength: 24 }),
);

test('the same texts are addresses as in Node, except those with zone ids', () => {
  fc.assert(
    fc.property(text, (candidate) => {
      assert.equal(parseIp(candidate)?.family ?? 0, candidate.includes('%') ? 0 : isIP(candidate), candidate);
    }),
    { numRuns: 3000 },
  );
});

test('the canonical spelling is parsed to the same octets', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (given) => assert.deepEqual(ip(formatIp(ip(given))), ip(given))),
  );
});

describe('a block', () => {
  test('is an address with a length, or one address', () => {
    assert.deepEqual(parseCidr('10.0.0.0/8'), { network: ip('10.0.0.0'), bits: 8 });
    assert.deepEqual(parseCidr('10.0.0.1'), { network: ip('10.0.0.1'), bits: 32 });
    assert.deepEqual(parseCidr('::1'), { network: ip('::1'), bits: 128 });
    assert.deepEqual(parseCidr('::ffff:10.0.0.0/104'), { network: ip('10.0.0.0'), bits: 8 });
    for (const bad of [
      '',
      '/',
      '/8',
      '10.0.0.0/',
      '10.0.0.0/33',
      '10.0.0.0/-1',
      '10.0.0.0/08',
      '10/8',
      '::/129',
      '10.0.0.0/8/8',
      'a/8',
    ]) {
      assert.equal(parseCidr(bad), undefined, bad);
    }
  });
  test('holds the same addresses as in Node', () => {
    const unmapped = fc.ipV6().filter((probe) => withoutMapping(ip(probe)).family === 6);
    const blocks = fc.array(fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })), { maxLength: 8 });
    const blocks6 = fc.array(fc.tuple(unmapped, fc.integer({ min: 0, max: 128 })), { maxLength: 8 });
    fc.assert(
      fc.property(blocks, blocks6, fc.array(fc.oneof(fc.ipV4(), unmapped)), (four, six, probes) => {
        // One list each: in Node 10.0.0.1 is in ::/0 too, since it looks for ::ffff:10.0.0.1 there.
        const oracle = { ipv4: new BlockList(), ipv6: new BlockList() };
        for (const [network, bits] of four) oracle.ipv4.addSubnet(network, bits, 'ipv4');
        for (const [network, bits] of six) oracle.ipv6.addSubnet(network, bits, 'ipv6');
        const set = new CidrSet([...four, ...six].map(([network, bits]) => knownCidr(`${network}/${bits}`)));
        for (const probe of [...probes, ...four.map(([network]) => network), ...six.map(([network]) => network)]) {
          const family = isIP(probe) === 4 ? 'ipv4' : 'ipv6';
          assert.equal(set.has(ip(probe)), oracle[family].check(probe, family), probe);
        }
      }),
    );
  });
  test('returns its values, widest block first', () => {
    const map = new CidrMap<string>();
    for (const block of ['10.1.0.0/16', '0.0.0.0/0', '10.1.2.3', '10.1.0.0/16', '11.0.0.0/8'])
      map.add(knownCidr(block), block);
    assert.deepEqual(map.find(ip('::ffff:10.1.2.3')), ['0.0.0.0/0', '10.1.0.0/16', '10.1.0.0/16', '10.1.2.3']);
    assert.deepEqual(map.find(ip('::1')), []);
  });
});
