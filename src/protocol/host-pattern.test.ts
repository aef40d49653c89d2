import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostKey, hostPattern } from './host-pattern.ts';

test('one spelling for all spellings of a host', () => {
  assert.equal(hostKey('WWW.Example.COM.'), 'www.example.com');
  assert.equal(hostKey('[2001:DB8:0::1]'), '2001:db8::1');
  assert.equal(hostKey('::ffff:192.0.2.1'), '192.0.2.1');
});

test('a name is exact, a leading dot takes the domain and all below, stars take anything', () => {
  const cases: [pattern: string, host: string, meant: boolean][] = [
    ['example.com', 'example.com', true],
    ['Example.com.', 'example.com', true],
    ['example.com', 'www.example.com', false],
    ['.example.com', 'example.com', true],
    ['.example.com', 'a.b.example.com', true],
    ['.example.com', 'badexample.com', false],
    ['*', 'anything', true],
    ['*.example.com', 'www.example.com', true],
    ['*.example.com', 'example.com', false],
    ['cdn-*.example.*', 'cdn-7.example.net', true],
    ['cdn-*.example.*', 'cdn-7.other.net', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*aab', 'aaab', true],
    ['[2001:db8::1]', '2001:db8::1', true],
  ];
  for (const [pattern, host, meant] of cases) assert.equal(hostPattern(pattern)(host), meant, `${pattern} ${host}`);
});

test('a hostile host name takes no longer than a harmless one', () => {
  const meant = hostPattern(`${'*a'.repeat(50)}*b`);
  const started = performance.now();
  assert.equal(meant('a'.repeat(250)), false);
  assert.ok(performance.now() - started < 50);
});

test('refuses what is no host', () => {
  for (const text of ['', '.', ' ', 'http://example.com', 'a b', 'user@host']) {
    assert.throws(() => hostPattern(text), /is not a host pattern/, text);
  }
});
