import assert from 'node:assert/strict';
import { test } from 'node:test';
import { colourful, plain } from '../../observe/format-pretty.ts';
import { json } from './json.ts';
import { render } from './render.ts';
import type { Explanation, Step } from './steps.ts';

const tunnel: readonly Step[] = [
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
  { ms: 10.1, kind: 'dialing', address: '192.0.2.7', port: 443, attempt: 2 },
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
  {
    ms: 51,
    kind: 'head',
    mark: '>',
    role: 'request',
    through: 'tls',
    lines: ['GET / HTTP/1.1', 'Host: example.org', 'Connection: close'],
  },
  {
    ms: 90,
    kind: 'head',
    mark: '<',
    role: 'response',
    through: 'tls',
    lines: ['HTTP/1.1 200 OK', 'content-type: text/html', `x-long: ${'y'.repeat(100)}`],
    status: 200,
  },
  { ms: 100, kind: 'body', bytes: 648, ended: 'complete' },
  { ms: 100.1, kind: 'done', bytesUp: 834, bytesDown: 4260 },
];

const run: Explanation = {
  url: 'https://example.org/',
  method: 'GET',
  proxy: { url: 'http://127.0.0.1:37553', started: 'for-this-run' },
  outcome: 'answered',
  status: 200,
  totalMs: 100.2,
  steps: tunnel,
};

test('a tunnel, from the first connection to the last byte', () => {
  assert.equal(
    render(run, plain),
    `\
GET https://example.org/
    through http://127.0.0.1:37553, a proxy started just for this request

    >  you to the proxy   <  the proxy to you   >> the proxy onwards   << back to the proxy

 1  You connect to the proxy, not to the site                                        RFC 9110 §3.7
    * 127.0.0.1:40804 to 127.0.0.1:37553                                                    0.6 ms

 2  You ask for a tunnel: a host and a port, no path                               RFC 9110 §9.3.6
    > CONNECT example.org:443 HTTP/1.1
    > Host: example.org:443
    > Proxy-Authorization: Basic •••
    >
    * the blank line ends it; you send nothing more until the response

 3  The proxy decides, finds the address and connects                                     RFC 8305
    * rule "default" allows it
    * route: direct
    * example.org is 2001:db8::7, 192.0.2.7                                                 3.2 ms
    * attempt 1: 2001:db8::7 port 443
    * 2001:db8::7 failed: there is no route to it                                           4.9 ms
    * attempt 2: 192.0.2.7 port 443
    * connected to 192.0.2.7                                                                 10 ms

 4  It accepts: behind the blank line this connection is a tunnel                  RFC 9110 §9.3.6
    < HTTP/1.1 200 Connection established
    <
    ┌─ the tunnel begins: the proxy speaks no more HTTP here, it copies bytes both ways ──────────

 5  Inside the tunnel you start TLS with the site                     RFC 8446 §4.1.2, RFC 6066 §3
    │ > ClientHello, 517 B: name example.org, ALPN http/1.1, TLS 1.3 or TLS 1.2
    │ * this much the proxy can read, since it is in the clear; of all that follows only the
    │   length
    │ * agreed on TLS 1.3, TLS_AES_128_GCM_SHA256, ALPN http/1.1                             30 ms
    │ * certificate of example.org, issued by Example CA, until 2027-01-15: trusted

 6  Your request goes to the site; the proxy sees only ciphertext                  RFC 9112 §3.2.1
    │ > GET / HTTP/1.1
    │ > Host: example.org
    │ > Connection: close
    │ >

 7  The site responds to you                                                           RFC 9112 §4
    │ < HTTP/1.1 200 OK
    │ < content-type: text/html
    │ < x-long: ${'y'.repeat(81)}…
    │ <
    │ * a body of 648 B, complete
    └─ the tunnel ends: it carried 834 B up, 4.2 KiB down ────────────────────────────────────────

    Where the time went                                                              100 ms in all
    proxy     █·······································  you connect to the proxy            0.6 ms
    dns       █·······································  it finds the address                3.2 ms
    connect   ··██████································  it connects                          15 ms
    tls       ········████████████····················  you and the site agree on keys       30 ms
    request   ····················████████████████····  request sent, response awaited       39 ms
    response  ···································████·  the response arrives                 10 ms
`,
  );
});

const plainSteps: readonly Step[] = [
  { ms: 1, kind: 'proxy-connected', from: '127.0.0.1:40804', to: '127.0.0.1:3128', over: 'tls' },
  {
    ms: 1,
    kind: 'head',
    mark: '>',
    role: 'request',
    through: 'hop',
    lines: ['GET http://example.org/a?k=••• HTTP/1.1', 'Host: example.org', 'Connection: close'],
  },
  {
    ms: 2,
    kind: 'head',
    mark: '>>',
    role: 'request',
    through: 'hop',
    lines: ['GET /a?k=••• HTTP/1.1', 'Host: example.org', 'Via: 1.1 viaduct-x'],
  },
  {
    ms: 6,
    kind: 'head',
    mark: '<<',
    role: 'response',
    through: 'hop',
    lines: ['HTTP/1.1 204 No Content'],
    status: 204,
  },
  {
    ms: 7,
    kind: 'head',
    mark: '<',
    role: 'response',
    through: 'hop',
    lines: ['HTTP/1.1 204 No Content', 'Via: 1.1 viaduct-x'],
    status: 204,
  },
  { ms: 8, kind: 'body', bytes: 0, ended: 'complete' },
  { ms: 8, kind: 'done', bytesUp: 200, bytesDown: 120 },
];

test('a plain request: the same hop by hop, without a tunnel', () => {
  const page = render({ ...run, url: 'http://example.org/a?k=•••', totalMs: 8, steps: plainSteps }, plain);
  assert.equal(
    page.slice(page.indexOf(' 1  ')),
    `\
 1  You connect to the proxy, not to the site                                        RFC 9110 §3.7
    * 127.0.0.1:40804 to 127.0.0.1:3128, over TLS                                           1.0 ms

 2  You send the whole URL, so that the proxy knows where to go                    RFC 9112 §3.2.2
    > GET http://example.org/a?k=••• HTTP/1.1
    > Host: example.org
    > Connection: close
    >

 3  It sends your request on: the path only, its own Via, nothing for this hop       RFC 9110 §7.6
    >> GET /a?k=••• HTTP/1.1
    >> Host: example.org
    >> Via: 1.1 viaduct-x
    >>

 4  The site responds to the proxy                                                     RFC 9112 §4
    << HTTP/1.1 204 No Content
    <<

 5  The proxy responds to you                                                        RFC 9110 §7.6
    < HTTP/1.1 204 No Content
    < Via: 1.1 viaduct-x
    <
    * no body
    * on the connection to the proxy: 200 B up, 120 B down

    Where the time went                                                              8.0 ms in all
    proxy     █████···································  you connect to the proxy            1.0 ms
    request   ··········█████████████████████████·····  request sent, response awaited      5.0 ms
    response  ···································█████  the response arrives                1.0 ms
`,
  );
});

const refusal: readonly Step[] = [
  {
    ms: 2,
    kind: 'head',
    mark: '<',
    role: 'connect-response',
    through: 'hop',
    lines: ['HTTP/1.1 403 Forbidden', 'Proxy-Status: viaduct; error=http_request_denied'],
    status: 403,
  },
  { ms: 2, kind: 'body', bytes: 60, ended: 'complete', text: 'A rule of this proxy does not allow this request.' },
  { ms: 3, kind: 'failed', who: 'the proxy', what: 'rule "ads"', advice: 'ask its operator', rfc: 'RFC 9209 §2.3' },
];

test('a refusal: its text, who refused, and what to do', () => {
  const page = render({ ...run, outcome: 'failed', status: 403, totalMs: 3, steps: refusal }, plain);
  assert.equal(
    page.slice(page.indexOf(' 1  '), page.indexOf('    Where the time')),
    `\
 1  It refuses: there is no tunnel, and the connection is closed                          RFC 9931
    < HTTP/1.1 403 Forbidden
    < Proxy-Status: viaduct; error=http_request_denied
    <
    * a body of 60 B, complete
    * it says: A rule of this proxy does not allow this request.

 2  What went wrong                                                                  RFC 9209 §2.3
    * the proxy: rule "ads"
    * ask its operator

`,
  );
});

test('a proxy in another process reports nothing of its work, and the page says so', () => {
  const steps = tunnel.filter(
    ({ kind }) => !['decided', 'routed', 'dns', 'dialing', 'attempt-failed', 'connected'].includes(kind),
  );
  const page = render({ ...run, proxy: { url: 'http://proxy.example:3128', started: 'before' }, steps }, plain);
  assert.match(page, /< HTTP\/1\.1 200 Connection established\n {4}<\n {4}\* how it found and reached the site/);
  assert.match(page, /\n {4}tunnel {4}·*█+·* {2}the proxy does its part/);
});

test('no line is wider than 100 columns, and what came off the wire cannot drive the terminal', () => {
  const evil = '\x1b]0;owned\x07\x9b31m\n forged';
  const steps = tunnel.map((step) =>
    step.kind === 'head' ? { ...step, lines: [...step.lines, `X: ${evil}${'z'.repeat(200)}`] } : step,
  );
  const failed: Step = {
    ms: 101,
    kind: 'failed',
    who: 'the site',
    what: `${evil} ${'long words '.repeat(30)}${'w'.repeat(150)}`,
  };
  const page = render({ ...run, url: `https://example.org/${'p'.repeat(200)}`, steps: [...steps, failed] }, plain);
  for (const line of page.split('\n')) {
    assert.ok(line.length <= 100, line);
    assert.match(line, /^[\x20-\x7e•…│┌└─█·§]*$/);
  }
});

test('colours change nothing but colours', () => {
  const painted = render(run, colourful);
  assert.match(painted, /\x1b\[32m>\x1b\[0m \x1b\[1mCONNECT/);
  assert.equal(painted.replace(/\x1b\[\d+m/g, '').replace(/ +$/gm, ''), render(run, plain));
});

test('JSON is the whole run, in order', () => {
  const parsed: unknown = JSON.parse(json(run));
  assert.deepEqual(parsed, JSON.parse(JSON.stringify(run)));
  assert.doesNotMatch(json({ ...run, url: 'x\x9b\x7f\u2028' }), /[\x7f-\x9f\u2028]/);
});
