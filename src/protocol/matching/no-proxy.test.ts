import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNoProxyEntry, noProxyMatcher, splitNoProxy } from './no-proxy.ts';

/** Each line: NO_PROXY, the target, and the entry that matches. */
const CASES: readonly (readonly [list: string, host: string, port: number, entry: string | undefined])[] = [
  ['example.com', 'example.com', 443, 'example.com'],
  ['example.com', 'www.example.com', 443, 'example.com'],
  ['example.com', 'nonexample.com', 443, undefined],
  ['.example.com', 'example.com', 443, '.example.com'],
  ['.example.com', 'a.b.example.com', 443, '.example.com'],
  ['.example.com', 'nonexample.com', 443, undefined],
  ['www.example.com', 'example.com', 443, undefined],
  ['example.com.', 'www.example.com', 443, 'example.com.'],
  ['.example.com.,x', 'www.example.com.', 443, '.example.com.'],
  ['EXAMPLE.com', 'www.example.com', 443, 'EXAMPLE.com'],
  ['localhost,foo', 'localhost', 80, 'localhost'],
  ['localhost,foo', 'foo.localhost', 80, 'localhost'],
  ['foo bar', 'bar', 80, 'bar'],
  ['foo,,,,,    bar , ::1/64', 'bar', 80, 'bar'],
  ['127.0.0.1', '127.0.0.1', 80, '127.0.0.1'],
  ['127.0.0.1', '127.0.0.2', 80, undefined],
  ['127.0.0.1/8', '127.9.9.9', 80, '127.0.0.1/8'],
  ['192.168.0.0/16', '192.168.1.1', 80, '192.168.0.0/16'],
  ['192.168.0.0/24', '192.168.1.1', 80, undefined],
  ['192.168.0.0/33', '192.168.0.0', 80, undefined],
  ['192.168', '192.168.0.1', 80, undefined],
  ['::1/64', '::1', 80, '::1/64'],
  ['fd00::/8', 'fd12::1', 80, 'fd00::/8'],
  ['[::1]', '0:0:0:0:0:0:0:1', 80, '[::1]'],
  ['10.0.0.1', '::ffff:10.0.0.1', 80, '10.0.0.1'],
  ['*', 'anything.example', 1, '*'],
  ['*', '10.0.0.1', 1, '*'],
  ['a, *', '::1', 1, '*'],
  ['example.com:8443', 'www.example.com', 8443, 'example.com:8443'],
  ['example.com:8443', 'www.example.com', 443, undefined],
  ['10.0.0.0/8:80', '10.1.1.1', 80, '10.0.0.0/8:80'],
  ['[::1]:8080', '::1', 8080, '[::1]:8080'],
  ['[::1]:8080', '::1', 80, undefined],
  ['*:8080', 'a.example', 8080, '*:8080'],
  ['*.corp', 'a.b.corp', 80, '*.corp'],
  ['*.corp', 'corp', 80, undefined],
  ['10.*', '10.2.3.4', 80, '10.*'],
  ['<local>', 'intranet', 80, '<local>'],
  ['<LOCAL>', 'intranet.', 80, '<LOCAL>'],
  ['<local>', 'intranet.corp', 80, undefined],
  ['<local>', '::1', 80, undefined],
  ['münchen.example', 'a.xn--mnchen-3ya.example', 80, 'münchen.example'],
  ['http://example.com,@,a:b:c,*..x', 'example.com', 80, undefined],
  ['', 'example.com', 80, undefined],
  ['a.example:1,.example,a.example', 'a.example', 2, '.example'],
];
for (const [list, host, port, entry] of CASES) {
  test(`with ${JSON.stringify(list)}, ${host} port ${port} is ${entry === undefined ? 'no exception' : `one by ${entry}`}`, () =>
    assert.equal(noProxyMatcher(splitNoProxy(list))({ host, port }), entry));
}

test('an invalid entry is recognised', () => {
  for (const text of ['http://a.example', 'a/b', '10.0.0.0/40', '', '.', 'a..b', '192.168', 'a:99999999', '[a]'])
    assert.equal(isNoProxyEntry(text), false, text);
});

test('ten thousand entries are looked up in microseconds', () => {
  const entries = Array.from({ length: 10_000 }, (_, at) =>
    at % 2 ? `.site${at}.example` : `10.${at >> 8}.${at & 255}.0/24`,
  );
  const match = noProxyMatcher(entries);
  assert.equal(match({ host: 'www.site9999.example', port: 443 }), '.site9999.example');
  const started = performance.now();
  for (let round = 0; round < 10_000; round++) match({ host: 'www.elsewhere.example.org', port: 443 });
  // 20 times the usual duration; a linear search takes a hundred times as long.
  assert.ok(performance.now() - started < 400, 'a look-up walks the list');
});
