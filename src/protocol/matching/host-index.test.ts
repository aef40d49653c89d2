import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostIndex, hostQuery } from './host-index.ts';

const isMeant = (pattern: string, host: string): boolean => {
  const index = new HostIndex();
  index.add(pattern, 0, 'reached');
  return index.matches(hostQuery(host));
};

test('a name matches exactly, a leading dot the domain and all below it, a star any characters', () => {
  const cases: [pattern: string, host: string, meant: boolean][] = [
    ['example.com', 'example.com', true],
    ['example.com', 'example.com.', true],
    ['Example.com.', 'example.com', true],
    ['example.com', 'www.example.com', false],
    ['.example.com', 'example.com', true],
    ['.example.com', 'a.b.example.com.', true],
    ['.example.com', 'badexample.com', false],
    ['*', 'anything', true],
    ['*.example.com', 'www.example.com', true],
    ['*.example.com', 'example.com', false],
    ['cdn-*.example.*', 'cdn-7.example.net', true],
    ['cdn-*.example.*', 'cdn-7.other.net', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*aab', 'aaab', true],
  ];
  for (const [pattern, host, meant] of cases) assert.equal(isMeant(pattern, host), meant, `${pattern} ${host}`);
});

test('an address matches in every spelling, and in the block that holds it', () => {
  assert.ok(isMeant('[2001:db8::1]', '2001:db8:0::1'));
  assert.ok(isMeant('192.0.2.1', '::ffff:192.0.2.1'));
  assert.ok(isMeant('192.0.2.0/24', '::ffff:c000:201'));
  assert.ok(isMeant('192.0.2.0/24', '64:ff9b::192.0.2.1'), 'a translator leads there');
  assert.ok(!isMeant('192.0.2.0/24', '192.0.3.1'));
  assert.ok(!isMeant('.2.1', '192.0.2.1'), 'the parts of an address are no domains');
});

test('a block with the sense written does not match addresses that only contain one of its own', () => {
  const index = new HostIndex();
  index.add('192.0.2.0/24', 0, 'written');
  for (const host of ['192.0.2.1', '::ffff:192.0.2.1']) assert.ok(index.matches(hostQuery(host)), host);
  for (const host of ['64:ff9b::192.0.2.1', '2002:c000:201::1', '2606:4700:bad::200:5efe:c000:201'])
    assert.ok(!index.matches(hostQuery(host)), host);
});
