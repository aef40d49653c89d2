import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuMsOf } from '../../../test/support/cpu-ms.ts';
import type { Route } from '../../contracts/stages.ts';
import { isBlockedRoute, PAC_ROUTES_MAX, readPacResult, unreadText } from './pac-result.ts';
import { formatHop } from './proxy-url.ts';

const shown = (route: Route): string => (route.via === 'direct' ? 'direct' : route.hops.map(formatHop).join(' '));
const read = (text: string): string[] => readPacResult(text, 'pac').routes.map(shown);

const ANSWERS: readonly (readonly [answer: string, routes: readonly string[]])[] = [
  ['DIRECT', ['direct']],
  [' direct ', ['direct']],
  ['PROXY a.example:3128', ['http://a.example:3128']],
  ['PROXY a; proxy b;\t DIRECT', ['http://a:80', 'http://b:80', 'direct']],
  ['proxy a ; SOCKS b', ['http://a:80', 'socks4://b:1080']],
  ['SOCKS4 a;SOCKS5 b;HTTPS c;HTTP d', ['socks4://a:1080', 'socks5://b:1080', 'https://c:443', 'http://d:80']],
  ['DIRECT ; proxy a ; DIRECT ; DIRECT ', ['direct', 'http://a:80', 'direct', 'direct']],
  ['PROXY   a.example:80  ;;; ', ['http://a.example:80']],
  ['PROXY [::1]:3128; SOCKS5 [fd00::2]', ['http://[::1]:3128', 'socks5://[fd00::2]:1080']],
  ['PROXY a:080', ['http://a:80']],
  ['PROXY Proxy.Example:1', ['http://proxy.example:1']],
  ['PROXY münchen.example:1', ['http://xn--mnchen-3ya.example:1']],
];
for (const [answer, routes] of ANSWERS) {
  test(`${JSON.stringify(answer)} means ${routes.join(', then ')}`, () => assert.deepEqual(read(answer), routes));
}

test('invalid entries are skipped, and the others kept', () => {
  assert.deepEqual(read('PROXY a ; JUNK ; QUIC q:1 ; SOCKS5 b ; ;'), ['http://a:80', 'socks5://b:1080']);
});

for (const junk of [
  '',
  ' ',
  ';',
  'PROXY',
  'PROXY-a:10',
  'PROXY a:',
  'PROXY a:70000',
  'PROXY a:b',
  'PROXY me:pw@a:1',
  'PROXY http://a:1',
  'PROXY a:1/x',
  'PROXY a b:1',
  'PROXY ::1:80',
  'DIRECT a:1',
  'toString a:1',
  'null',
  '\nDIRECT x',
]) {
  test(`a result without a valid entry is direct: ${JSON.stringify(junk)}`, () =>
    assert.deepEqual(read(junk), ['direct']));
}

test('proxies are trusted as far as the script that named them', () => {
  const [route] = readPacResult('PROXY a:1', 'untrusted-pac').routes;
  assert.equal(route?.via === 'proxies' && route.hops[0].namedBy, 'untrusted-pac');
});

test('the number of entries is bounded', () => {
  assert.equal(readPacResult('PROXY a:1;'.repeat(100_000), 'pac').routes.length, PAC_ROUTES_MAX);
});

test('an entry that is too long is skipped, with any content', () => {
  const tookMs = cpuMsOf(() => {
    for (const filler of [' ', '0', ':0', 'a.']) {
      const answer = `PROXY a:1; PROXY b${filler.repeat(100_000)}x; PROXY c:${filler.repeat(100_000)}x; PROXY d:2`;
      assert.deepEqual(read(answer), ['http://a:1', 'http://d:2']);
    }
  });
  assert.ok(tookMs < 1_000, `${tookMs} ms`);
});

for (const block of [
  'PROXY 0.0.0.0:0',
  'PROXY 127.0.0.1:0',
  'proxy localhost:00',
  'SOCKS5 [::]:0',
  'HTTPS blocked.example:0',
  'PROXY 0:0',
  'PROXY 127.1:0',
]) {
  test(`${block} is a proxy that cannot be reached, and not DIRECT`, () => {
    const { routes, unread } = readPacResult(`${block}; PROXY a:1`, 'pac');
    assert.deepEqual(routes.map(isBlockedRoute), [true, false]);
    assert.deepEqual(unread, []);
  });
}

test('the message names invalid entries and what happens then, without passwords', () => {
  const text = (answer: string) => unreadText(readPacResult(answer, 'pac'));
  assert.equal(text('PROXY a:1; DIRECT; '), undefined);
  assert.equal(text(''), undefined);
  assert.equal(text('PORXY a:1'), '"PORXY a:1" cannot be read: the request goes DIRECT, as in Chromium');
  assert.equal(text('PORXY a:1; PROXY b:2'), '"PORXY a:1" cannot be read, and is skipped, as in Chromium');
  assert.doesNotMatch(text('PROXY me:hunter2@a:1') ?? '', /hunter2/);
  assert.equal(readPacResult('JUNK;'.repeat(1000), 'pac').unread.length, 4);
});
