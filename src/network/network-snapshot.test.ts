import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { test } from 'node:test';
import { addressesOf, networkSnapshot, withoutColumns } from './network-snapshot.ts';

const info = (address: string): NetworkInterfaceInfo =>
  address.includes(':')
    ? { address, netmask: 'ffff::', family: 'IPv6', mac: 'm', internal: false, cidr: null, scopeid: 0 }
    : { address, netmask: '255.0.0.0', family: 'IPv4', mac: 'm', internal: false, cidr: null };

test('the order of interfaces and those of containers make no difference', () => {
  const one = addressesOf({ eth0: [info('10.0.0.2'), info('fe80::1')], wlan0: [info('fd00::2')] });
  const other = addressesOf({ wlan0: [info('fd00::2')], veth1: [info('FE80::2')], eth0: [info('10.0.0.2')] });
  assert.equal(one, other);
  assert.equal(one, 'eth0 10.0.0.2 255.0.0.0 m\nwlan0 fd00::2 ffff:: m\n');
});

test('routes are compared without the columns that count their use', () => {
  assert.equal(withoutColumns('Iface\tDest  RefCnt\teth0\n a b 7 d \n', 2), 'Iface Dest eth0\na b d\n');
});

test('two snapshots of an unchanged network are equal', () => {
  const snapshot = networkSnapshot();
  assert.ok(snapshot !== undefined);
  assert.deepEqual(networkSnapshot(), snapshot);
  assert.match(snapshot.addresses, /^lo\d* 127\.0\.0\.1 /m);
});
