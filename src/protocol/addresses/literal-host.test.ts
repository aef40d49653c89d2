import assert from 'node:assert/strict';
import { test } from 'node:test';
import { literalAddresses } from './literal-host.ts';

test('a host that needs no name server has its addresses, and every other none', () => {
  for (const [host, addresses] of [
    ['10.0.0.1', ['10.0.0.1']],
    ['::1', ['::1']],
    ['::ffff:10.0.0.1', ['::ffff:10.0.0.1']],
    ['::ffff:a9fe:a9fe', ['::ffff:a9fe:a9fe']],
    ['fe80::1%eth0', ['fe80::1%eth0']],
    ['localhost', ['127.0.0.1', '::1']],
    ['localhost.', ['127.0.0.1', '::1']],
    ['db.localhost', ['127.0.0.1', '::1']],
    ['0--1.ipv6-literal.net', ['0::1']],
    ['fe80--1s4.ipv6-literal.net.', ['fe80::1']],
    ['example.com', []],
    ['notlocalhost', []],
    ['localhost.example', []],
    ['ipv6-literal.net', []],
    ['a.0--1.ipv6-literal.net', []],
    ['zz--1.ipv6-literal.net', []],
    ['host7', []],
    ['example.net', []],
    ['10.0.0.1.example', []],
  ] as const)
    assert.deepEqual(literalAddresses(host), addresses, host);
});
