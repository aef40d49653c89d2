import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientKey, clientKeyOf } from './client-key.ts';
import { parseIpWithZone, withoutMapping } from './ip-address.ts';

test('a client is an IPv4 address, or the /64 of an IPv6 address', () => {
  for (const [address, key] of [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
    ['2001:db8:0:1:ffff:ffff:ffff:ffff', '2001:db8:0:1::/64'],
    ['2001:db8:0:2::1', '2001:db8:0:2::/64'],
    ['2001:db8:1:0:2:3:4:5', '2001:db8:1::/64'],
    ['2001:db8:1::2:3:4:5', '2001:db8:1::/64'],
    ['2001:db8:1:0:0:2:3:4', '2001:db8:1::/64'],
    ['2001:0:0:2:3:4:5:6', '2001:0:0:2::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['2001:db8:1:2:3:4:5:6%eth0', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['::1', '::/64'],
    ['', ''],
  ] as const) {
    assert.equal(clientKeyOf(address), key, address);
    const parsed = parseIpWithZone(address);
    if (parsed !== undefined) assert.equal(clientKey(withoutMapping(parsed)), key, address);
  }
});
