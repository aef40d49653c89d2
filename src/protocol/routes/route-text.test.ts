import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRoute, parseRoutes, type RoutesText } from './route-text.ts';

const read = (given: RoutesText): string[] => parseRoutes(given, 'user').map(formatRoute);

const ROUTES: readonly (readonly [given: RoutesText, routes: readonly string[]])[] = [
  ['direct', ['direct']],
  ['PROXY proxy.corp:8080; DIRECT', ['http://proxy.corp:8080', 'direct']],
  ['socks5h://a.example', ['socks5://a.example:1080']],
  ['a.example:3128', ['http://a.example:3128']],
  ['http://a.example:1; socks4://b.example:2;direct;', ['http://a.example:1', 'socks4://b.example:2', 'direct']],
  [
    ['http://a.example:1', 'direct'],
    ['http://a.example:1', 'direct'],
  ],
  [
    [['https://a.example', 'socks5://b.example'], 'direct'],
    ['https://a.example:443 -> socks5://b.example:1080', 'direct'],
  ],
  [[['PROXY a:1', 'SOCKS5 b:2']], ['http://a:1 -> socks5://b:2']],
];
for (const [given, routes] of ROUTES) {
  test(`${JSON.stringify(given)} is tried as ${routes.join(', then ')}`, () => assert.deepEqual(read(given), routes));
}

const MISTAKES: readonly (readonly [given: RoutesText, message: RegExp])[] = [
  ['', /^names no route; write direct, or a proxy such as/],
  [[], /^names no route/],
  ['JUNK a:1', /^"JUNK a:1" is not a valid route; write for example PROXY/],
  ['PROXY a:b', /^"PROXY a:b" is not a valid route/],
  ['DIRECT a', /is not a valid route/],
  ['http://a:1; nope://b', /^"nope:\/\/b" is not a supported kind of proxy/],
  ['http://me:a;b@c', /semicolon in a login; write %3B/],
  [[[]], /empty chain/],
  [[['http://a:1', 'direct']], /^"direct" is not a valid proxy of a chain/],
  [[['http://a:1; http://b:1']], /is not a valid proxy of a chain/],
  [[Array<string>(9).fill('http://a:1')], /chain of more than 8/],
  [Array<string>(65).fill('direct'), /more than 64 routes/],
];
for (const [given, message] of MISTAKES) {
  test(`${JSON.stringify(given).slice(0, 50)} is refused in one sentence`, () =>
    assert.throws(() => read(given), { name: 'Error', message }));
}

test('no message contains a password', () => {
  for (const given of ['PROXY me:hunter2@a:1', 'http://me:hunter2;x@a', [['direct:hunter2@x y']]]) {
    assert.throws(
      () => read(given),
      (error) => error instanceof Error && !error.message.includes('hunter2'),
    );
  }
});
