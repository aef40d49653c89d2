import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, test } from 'node:test';
import { loadAddon } from '../native/addon.ts';
import { type AddressSources, addressesOf, machineAddresses } from './interface-addresses.ts';

const files: Readonly<Record<string, string>> = {
  route:
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n' +
    'eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n' +
    'eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n' +
    'docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n' +
    'docker0\t0000630A\t020011AC\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n',
  fib_trie:
    'Main:\n  +-- 0.0.0.0/0 2 0 2\n     |-- 10.0.0.5\n        /32 host LOCAL\n     +-- 172.17.0.0/16 2 0 2\n' +
    '        |-- 172.17.0.0\n           /16 link UNICAST\n        |-- 172.17.0.1\n           /32 host LOCAL\n' +
    '        |-- 172.17.255.255\n           /32 link BROADCAST\nLocal:\n        |-- 172.17.0.1\n           /32 host LOCAL\n',
  if_inet6:
    'fd000000000000000000000000000001 02 40 00 82  docker0\n00000000000000000000000000000001 01 80 10 80       lo\n',
};
const eth0 = {
  address: '10.0.0.5',
  cidr: '10.0.0.5/24',
  mac: '',
  internal: false,
  netmask: '',
  family: 'IPv4',
} as const;
const docker0 = { ...eth0, address: '172.17.0.1', cidr: '172.17.0.1/16' };
const sources = (interfaces: ReturnType<typeof networkInterfaces>, texts = files): AddressSources => ({
  all: () => [],
  interfaces: () => interfaces,
  read: (name) => texts[name] ?? '',
});

const six = { name: 'docker0', address: 'fd00::1', cidr: 'fd00::1/64' };
const four = { name: 'docker0', address: '172.17.0.1', cidr: '172.17.0.1/16' };

describe('an interface without a carrier', () => {
  test('has the addresses of its subnets all the same, each once', () => {
    assert.deepEqual(addressesOf(/^docker/, sources({ eth0: [eth0] })), [four, six]);
    assert.deepEqual(addressesOf(/^docker/, sources({ eth0: [eth0], docker0: [docker0] })), [four, six]);
  });
  test('is unknown where the system has no such files', () => {
    assert.deepEqual(addressesOf(/^docker/, sources({ eth0: [eth0] }, {})), []);
  });
  test('has no address of another one, whose subnet lies within its own', () => {
    const overlapping = { ...files, fib_trie: `${files.fib_trie}        |-- 172.17.5.5\n           /32 host LOCAL\n` };
    const office = { ...eth0, address: '172.17.5.5', cidr: '172.17.5.5/24' };
    assert.deepEqual(addressesOf(/^docker/, sources({ eth0: [office] }, overlapping)), [four, six]);
  });
  test('counts among the addresses of this machine', () => {
    assert.deepEqual(machineAddresses(sources({ eth0: [eth0] })), ['10.0.0.5', '172.17.0.1', 'fd00::1', '::1']);
  });
});

test('the addon is believed where it has an answer, and no file is read', () => {
  const read = () => assert.fail('a file');
  const all = { all: () => [four, six, { ...four, name: 'eth0' }], interfaces: read, read };
  assert.deepEqual(addressesOf(/^docker/, all), [four, six]);
  assert.deepEqual(machineAddresses(all), ['172.17.0.1', 'fd00::1']);
});

test('it has all addresses that Node has', { skip: loadAddon().addon === undefined && 'no addon' }, () => {
  const found = addressesOf(/(?:)/).map(({ name, cidr }) => `${name} ${cidr}`);
  const byNode = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.map(({ cidr }) => `${name} ${cidr}`),
  );
  assert.ok(byNode.length > 0);
  for (const one of byNode) assert.ok(found.includes(one), `${one} in ${found}`);
});
