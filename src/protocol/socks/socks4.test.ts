import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSocks4Reply, socks4Connect } from './socks4.ts';

test('an IPv4 address is sent as one, any other host as a name behind an invalid address', () => {
  const asked = (host: string, user: string) => socks4Connect({ host, port: 443 }, user).toString('hex');
  assert.equal(asked('192.0.2.7', ''), '040101bbc000020700');
  assert.equal(asked('192.0.2.7', 'me'), '040101bbc00002076d6500');
  assert.equal(asked('a.test', ''), '040101bb0000000100612e7465737400');
  assert.equal(asked('::1', ''), '040101bb00000001003a3a3100');
});

test('a text with a NUL is refused', () => {
  assert.throws(() => socks4Connect({ host: 'a\0b', port: 1 }, ''), { code: 'bad_request' });
  assert.throws(() => socks4Connect({ host: 'a', port: 1 }, 'a\0b'), { code: 'bad_request' });
});

test('a reply has eight bytes, cut at any byte, and the bytes behind it are left', () => {
  const wire = Buffer.from('005a01bbc0000207ffff', 'hex');
  for (let cut = 0; cut <= wire.length; cut++) {
    const expected = cut < 8 ? undefined : { value: 90, length: 8 };
    assert.deepEqual(parseSocks4Reply(wire.subarray(0, cut)), expected, `cut at ${cut}`);
  }
  assert.throws(() => parseSocks4Reply(Buffer.from('H')), { code: 'upstream_protocol' });
});
