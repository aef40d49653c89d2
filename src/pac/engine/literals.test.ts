import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isInBlock, literalAddress, nameToResolve, sortAddresses } from './literals.ts';

test('an address may be written in every form that URLs allow', () => {
  const forms: readonly (readonly [string, string | undefined])[] = [
    ['192.0.2.1', '192.0.2.1'],
    ['127.1', '127.0.0.1'],
    ['0x7f000001', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['0177.0.0.1', '127.0.0.1'],
    ['127.0.0.1.', '127.0.0.1'],
    ['1.2.65535', '1.2.255.255'],
    ['0:0::1', '::1'],
    ['256.0.0.1', undefined],
    ['1.2.3.4.5', undefined],
    ['1.2.65536', undefined],
    ['08.0.0.1', undefined],
    ['[::1]', undefined],
    ['fe80::1%eth0', undefined],
    ['name', undefined],
    ['', undefined],
  ];
  for (const [text, address] of forms) assert.equal(literalAddress(text), address, text);
});

test('blocks hold addresses of either family, IPv4 mapped into IPv6 where they differ', () => {
  assert.equal(isInBlock('10.1.2.3', '10.0.0.0/8'), true);
  assert.equal(isInBlock('10.1.2.3', '0.0.0.0/0'), true);
  assert.equal(isInBlock('::ffff:10.1.2.3', '10.0.0.0/8'), true);
  assert.equal(isInBlock('10.1.2.3', '::ffff:10.0.0.0/104'), true);
  assert.equal(isInBlock('11.1.2.3', '::ffff:10.0.0.0/104'), false);
  for (const block of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8/8', '/8']) {
    assert.equal(isInBlock('10.1.2.3', block), false, block);
  }
});

test('lists are sorted by value, IPv6 first; one with an entry that is not an address is refused', () => {
  assert.equal(sortAddresses('10.0.0.2; 9.0.0.1;\t::2;::1'), '::1;::2;9.0.0.1;10.0.0.2');
  assert.equal(sortAddresses('10.0.0.2;name'), false);
  assert.equal(sortAddresses(' ; '), false);
});

test('names are resolved in lower case and as A-labels; a text that cannot be a name is not resolved', () => {
  assert.equal(nameToResolve('WWW.Example.COM.'), 'www.example.com.');
  assert.equal(nameToResolve('Bücher.ch'), 'xn--bcher-kva.ch');
  assert.equal(nameToResolve('_srv.a-b.test'), '_srv.a-b.test');
  for (const text of ['', '.', 'a..b', 'a b', '$%$', 'a/b', `${'a.'.repeat(127)}aa`])
    assert.equal(nameToResolve(text), undefined);
});
