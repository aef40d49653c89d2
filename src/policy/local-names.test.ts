import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIp } from '../protocol/addresses/ip-address.ts';
import { localNames } from './local-names.ts';

const own = { isThisMachine: (address: Parameters<typeof formatIp>[0]) => formatIp(address) === '10.1.2.3' };
const HOSTS = `127.0.0.1 localhost
127.0.1.1 Pc.Corp.Example pc # evil.example pc
10.9.9.9 other.example
192.0.2.1 ads.example # pc
`;

test('exactly the names of this machine are its own, in either case, with or without the root dot', () => {
  const isOurs = localNames(own, ['Proxy.Example.'], { hostName: () => 'PC', hostsFile: () => HOSTS });
  for (const host of ['localhost', 'pc', 'PC.', 'pc.local', 'pc.corp.example', 'proxy.example', '10.1.2.3'])
    assert.equal(isOurs(host), true, host);
  for (const host of [
    ...['pc.evil.example', 'pc.corp.example.evil.example', 'pc.local.example', 'xpc', 'pcx', 'corp.example', 'local'],
    ...[
      'evil.example',
      'ads.example',
      'other.example',
      'a.localhost',
      'sub.proxy.example',
      '10.1.2.4',
      '127.0.1.1x',
      '',
    ],
  ])
    assert.equal(isOurs(host), false, host);
});

test('a machine whose name has a domain is also its first label', () => {
  const isOurs = localNames(own, [], { hostName: () => 'pc.corp.example', hostsFile: () => '' });
  for (const host of ['pc.corp.example', 'pc', 'pc.local']) assert.equal(isOurs(host), true, host);
  for (const host of ['pc.corp', 'corp.example', 'pc.corp.example.evil']) assert.equal(isOurs(host), false, host);
});
