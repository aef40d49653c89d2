import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import type { Explanation, Step } from '../steps.ts';
import { LESSONS } from './lessons.ts';
import { renderHtml } from './render-html.ts';

const steps: readonly Step[] = [
  { ms: 0.6, kind: 'proxy-connected', from: '127.0.0.1:40804', to: '127.0.0.1:37553', over: 'tcp' },
  {
    ms: 0.7,
    kind: 'head',
    mark: '>',
    role: 'connect',
    through: 'hop',
    lines: ['CONNECT example.org:443 HTTP/1.1', 'Host: example.org:443', 'Proxy-Authorization: Basic •••'],
  },
  { ms: 1.5, kind: 'decided', verdict: 'allow', rule: 'default' },
  { ms: 1.6, kind: 'routed', routes: ['direct'] },
  { ms: 5, kind: 'dns', host: 'example.org', addresses: ['2001:db8::7', '192.0.2.7'], tookMs: 3.2 },
  { ms: 5.1, kind: 'dialing', address: '2001:db8::7', port: 443, attempt: 1 },
  { ms: 10, kind: 'attempt-failed', address: '2001:db8::7', reason: 'there is no route to it', tookMs: 4.9 },
  { ms: 20.1, kind: 'connected', address: '192.0.2.7', tookMs: 10 },
  {
    ms: 20.5,
    kind: 'head',
    mark: '<',
    role: 'connect-response',
    through: 'hop',
    lines: ['HTTP/1.1 200 Connection established'],
    status: 200,
  },
  { ms: 20.6, kind: 'tunnel-open' },
  {
    ms: 21,
    kind: 'client-hello',
    serverName: 'example.org',
    alpn: ['http/1.1'],
    versions: ['TLS 1.3', 'TLS 1.2'],
    encrypted: false,
    bytes: 517,
  },
  {
    ms: 50.5,
    kind: 'tls',
    protocol: 'TLS 1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    alpn: 'http/1.1',
    certificate: { subject: 'example.org', issuer: 'Example CA', until: '2027-01-15' },
    distrust: undefined,
    tookMs: 29.5,
  },
  { ms: 51, kind: 'head', mark: '>', role: 'request', through: 'tls', lines: ['GET / HTTP/1.1', 'Host: example.org'] },
  { ms: 90, kind: 'head', mark: '<', role: 'response', through: 'tls', lines: ['HTTP/1.1 200 OK'], status: 200 },
  { ms: 100, kind: 'body', bytes: 648, ended: 'complete' },
  { ms: 100.1, kind: 'done', bytesUp: 834, bytesDown: 4260 },
];

const run = (more: Partial<Explanation> = {}): Explanation => ({
  url: 'https://example.org/',
  method: 'GET',
  proxy: { url: 'http://127.0.0.1:37553', started: 'for-this-run' },
  outcome: 'answered',
  status: 200,
  totalMs: 100.2,
  steps,
  ...more,
});

/** Every tag of the page closes, in order: a browser has nothing to guess. */
function assertWellFormed(page: string): void {
  const open: string[] = [];
  const body = page.replace(/<style>[\s\S]*?<\/style>/, '').replace('<!doctype html>', '');
  for (const [all, slash, name = '', own] of body.matchAll(
    /<(\/?)([a-z0-9]+)(?:\s+[A-Za-z0-9-]+="[^"<>]*")*\s*(\/?)>/g,
  )) {
    if (own === '/' || name === 'meta') continue;
    if (slash === '/') assert.equal(open.pop(), name, all);
    else open.push(name);
  }
  assert.deepEqual(open, []);
  // Nothing else looks like a tag.
  const rest = body.replaceAll(/<(\/?)([a-z0-9]+)(?:\s+[A-Za-z0-9-]+="[^"<>]*")*\s*(\/?)>/g, '');
  assert.doesNotMatch(rest, /[<>]/);
}

test('the page needs nothing else: no script, no style but its own, nothing from elsewhere', () => {
  const page = renderHtml(run());
  assertWellFormed(page);
  assert.doesNotMatch(page, /<script|<img|<link|<iframe|<object|@import|url\(|\sstyle=|\son[a-z]+=/i);
  const style = /<style>([\s\S]*)<\/style>/.exec(page)?.[1] ?? '';
  const hash = createHash('sha256').update(style).digest('base64');
  assert.ok(
    page.includes(`content="default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'"`),
  );
  for (const [, url] of page.matchAll(/(?:href|src)="([^"]*)"/g))
    assert.match(url ?? '', /^https:\/\/www\.rfc-editor\.org\/rfc\//);
});

test('a tunnel: each message stands in the picture and beside its lesson and RFC section, and the layers change at the 200', () => {
  const page = renderHtml(run());
  for (const part of [
    'You ask for a tunnel: a host and a port, no path',
    'CONNECT example.org:443 HTTP/1.1',
    'https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6',
    'client.pipe(upstream);',
    'Until the 200',
    'From then on',
    'you work on HTTP, TCP, IP; the proxy on HTTP, TCP, IP; the site on TCP, IP',
    'you work on HTTP, TLS, TCP, IP; the proxy on TCP, IP; the site on HTTP, TLS, TCP, IP',
    'ClientHello for example.org, in the clear',
    'Basic •••',
    '834 B up, 4.2 KiB down',
  ])
    assert.ok(page.includes(part), part);
});

test('a plain request has one picture of layers, since the proxy works on HTTP all the time', () => {
  const plain: Step[] = [
    { ms: 1, kind: 'proxy-connected', from: '127.0.0.1:1', to: '127.0.0.1:2', over: 'tcp' },
    { ms: 1, kind: 'head', mark: '>', role: 'request', through: 'hop', lines: ['GET http://a.test/ HTTP/1.1'] },
    { ms: 2, kind: 'head', mark: '>>', role: 'request', through: 'hop', lines: ['GET / HTTP/1.1', 'Via: 1.1 v'] },
    {
      ms: 3,
      kind: 'head',
      mark: '<<',
      role: 'response',
      through: 'hop',
      lines: ['HTTP/1.1 204 No Content'],
      status: 204,
    },
    {
      ms: 4,
      kind: 'head',
      mark: '<',
      role: 'response',
      through: 'hop',
      lines: ['HTTP/1.1 204 No Content'],
      status: 204,
    },
  ];
  const page = renderHtml(run({ url: 'http://a.test/', steps: plain }));
  assertWellFormed(page);
  assert.match(page, /For the whole request/);
  assert.doesNotMatch(page, /From then on/);
});

test('a refused CONNECT has come no further than the proxy', () => {
  const refused: Step[] = [
    { ms: 1, kind: 'head', mark: '>', role: 'connect', through: 'hop', lines: ['CONNECT a.test:443 HTTP/1.1'] },
    { ms: 2, kind: 'decided', verdict: 'deny', rule: 'ads' },
    {
      ms: 3,
      kind: 'head',
      mark: '<',
      role: 'connect-response',
      through: 'hop',
      lines: ['HTTP/1.1 403 denied'],
      status: 403,
    },
    { ms: 4, kind: 'failed', who: 'the proxy', what: 'rule ads' },
  ];
  const page = renderHtml(run({ outcome: 'failed', status: undefined, steps: refused }));
  assertWellFormed(page);
  assert.match(page, /the proxy on HTTP, TCP, IP; the site on none/);
  assert.match(page, /nothing that you sent has come to the site/);
});

test('with another proxy behind ours there are four parties, and its 407 is a chapter', () => {
  const chain: Step[] = [
    { ms: 1, kind: 'routed', routes: ['http://proxy.corp:8080'] },
    { ms: 2, kind: 'head', mark: '>>', role: 'connect', through: 'hop', lines: ['CONNECT a.test:443 HTTP/1.1'] },
    {
      ms: 3,
      kind: 'head',
      mark: '<<',
      role: 'connect-response',
      through: 'hop',
      lines: ['HTTP/1.1 407 Auth'],
      status: 407,
    },
  ];
  const page = renderHtml(run({ outcome: 'failed', status: undefined, steps: chain }));
  assertWellFormed(page);
  assert.match(page, /the next proxy<\/text>/);
  assert.match(page, /The next proxy requires authentication/);
});

test('no byte of a peer becomes a tag, an attribute or a control character', () => {
  const hostile = '</pre><script>alert(1)</script><img src=x onerror=alert(1)>"\'&\x1b[2J\x9b\u2028\0';
  const all: Step[] = [
    { ms: 1, kind: 'proxy-connected', from: hostile, to: hostile, over: 'tls' },
    {
      ms: 2,
      kind: 'head',
      mark: '<',
      role: 'response',
      through: 'hop',
      lines: [`HTTP/1.1 200 ${hostile}`, `X: ${hostile}`],
      status: 200,
      tokens: [{ field: hostile, scheme: hostile, parts: [{ name: hostile, value: hostile }] }],
    },
    { ms: 3, kind: 'decided', verdict: 'deny', rule: hostile },
    { ms: 3, kind: 'routed', routes: [hostile] },
    { ms: 3, kind: 'dns', host: hostile, addresses: [hostile], tookMs: 1 },
    { ms: 3, kind: 'attempt-failed', address: hostile, reason: hostile, tookMs: 1 },
    { ms: 3, kind: 'connected', address: hostile, tookMs: 1 },
    { ms: 3, kind: 'socks', protocol: 'socks5', proxy: hostile, asked: hostile, resolvedBy: 'you', login: 'none' },
    { ms: 3, kind: 'tunnel-open' },
    {
      ms: 3,
      kind: 'client-hello',
      serverName: hostile,
      alpn: [hostile],
      versions: [hostile],
      encrypted: false,
      bytes: 1,
    },
    {
      ms: 3,
      kind: 'tls',
      protocol: hostile,
      cipher: hostile,
      alpn: hostile,
      certificate: { subject: hostile, issuer: hostile, until: hostile },
      distrust: hostile,
      tookMs: 1,
    },
    { ms: 4, kind: 'body', bytes: 9, ended: 'cut', text: hostile },
    { ms: 4, kind: 'failed', who: hostile, what: hostile, advice: hostile },
  ];
  const page = renderHtml(
    run({ url: hostile, method: hostile, proxy: { url: hostile, started: 'before' }, outcome: 'failed', steps: all }),
  );
  assertWellFormed(page);
  assert.doesNotMatch(page, /<script|<img|[\0\x1b\x9b\u2028]/);
  assert.match(page, /&lt;script&gt;alert\(1\)/);
});

test('every lesson names a file of this project, and lines that fit beside the messages', () => {
  const root = new URL('../../../', import.meta.url);
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
  for (const [id, { file, code }] of Object.entries(LESSONS)) {
    assert.ok(existsSync(new URL(file.replace(/\.ts$/, extension), root)), `${id}: ${file}`);
    assert.ok(Math.max(...code.split('\n').map((line) => line.length)) <= 62, id);
  }
});
