import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../core/stages.ts';
import { PAC_ROUTES_MAX, parsePacResult } from './pac-result.ts';
import { formatHop } from './proxy-url.ts';

const shown = (route: Route): string => (route.via === 'direct' ? 'direct' : route.hops.map(formatHop).join(' '));
const read = (text: string): string[] => parsePacResult(text, 'pac').map(shown);

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

test('what is no entry is skipped, and the rest stays', () => {
  assert.deepEqual(read('PROXY a ; JUNK ; QUIC q:1 ; SOCKS5 b ; ;'), ['http://a:80', 'socks5://b:1080']);
});

for (const junk of [
  '',
  ' ',
  ';',
  'PROXY',
  'PROXY-a:10',
  'PROXY a:',
  'PROXY a:0',
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
  test(`an answer with nothing good in it is direct: ${JSON.stringify(junk)}`, () =>
    assert.deepEqual(read(junk), ['direct']));
}

test('proxies are trusted as far as the script that named them', () => {
  const [route] = parsePacResult('PROXY a:1', 'untrusted-pac');
  assert.equal(route?.via === 'proxies' && route.hops[0].namedBy, 'untrusted-pac');
});

test('an endless answer is cut', () => {
  assert.equal(parsePacResult('PROXY a:1;'.repeat(100_000), 'pac').length, PAC_ROUTES_MAX);
});

test('an entry that is too long to be one is skipped, whatever it is made of', () => {
  const startedMs = performance.now();
  for (const filler of [' ', '0', ':0', 'a.']) {
    const answer = `PROXY a:1; PROXY b${filler.repeat(100_000)}x; PROXY c:${filler.repeat(100_000)}x; PROXY d:2`;
    assert.deepEqual(read(answer), ['http://a:1', 'http://d:2']);
  }
  assert.ok(performance.now() - startedMs < 1_000);
});
