import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAILURES, type FailureCode, ProxyError } from '../../contracts/failure.ts';
import { refusalResponse } from './refusal.ts';

const US = { name: 'viaduct', pseudonym: 'viaduct-ab12' };

test('a refusal says what happened, to a person and to a program', () => {
  assert.deepEqual(
    refusalResponse(
      new ProxyError('connection_refused', 'a detail for the log'),
      { id: 'r-7', protocol: 'http/1.0' },
      US,
    ),
    {
      status: 502,
      reason: 'Bad Gateway',
      headers: [
        ['Content-Type', 'text/plain; charset=utf-8'],
        ['Proxy-Status', 'viaduct; error=connection_refused'],
        ['Via', '1.0 viaduct-ab12'],
      ],
      body: 'The destination refused the connection.\n\n502 Bad Gateway (connection_refused), from the proxy "viaduct", request r-7.\n',
    },
  );
});

test('a refusal holds what the client may read, and the fields of the failure', () => {
  const error = new ProxyError('rate_limited', 'x', {
    clientDetail: 'The limit is called "a".',
    headers: [['Retry-After', '3']],
  });
  const { headers, body } = refusalResponse(error, { id: 'r', protocol: 'http/1.1' }, US);
  assert.deepEqual(headers.at(-1), ['Retry-After', '3']);
  assert.ok(body.includes('try later. The limit is called "a".\n'));
});

test('a refusal says what is wrong with a message, also when the failure was wrapped by one that names the route', () => {
  const fault = new ProxyError('upstream_protocol', 'a detail for the log', { fault: 'a field line has no colon' });
  const wrapped = new ProxyError('upstream_protocol', 'x', {
    cause: fault,
    clientDetail: 'The route led through http://p.',
  });
  const sentence = 'The upstream proxy sent something that is not valid HTTP.';
  const page = (error: ProxyError) =>
    String(refusalResponse(error, { id: 'r', protocol: 'http/1.1' }, US).body).split('\n')[0];
  assert.equal(page(fault), `${sentence} What is wrong: a field line has no colon.`);
  assert.equal(page(wrapped), `${sentence} What is wrong: a field line has no colon. The route led through http://p.`);
});

const isCode = (code: string): code is FailureCode => code in FAILURES;

for (const code of Object.keys(FAILURES).filter(isCode)) {
  test(`${code} has a status with a name, a registered token and a whole sentence`, () => {
    const { reason, status, body, headers } = refusalResponse(
      new ProxyError(code, ''),
      { id: 'r', protocol: 'http/1.1' },
      US,
    );
    assert.ok(status >= 400 && status < 600);
    assert.ok(reason !== '' || status === 499, `${status} has no name`);
    assert.match(String(body), /^[A-Z][^\n]*[.]\n/);
    assert.match(headers[1]?.[1] ?? '', /^viaduct; error=[a-z_]+$/);
  });
}

const CONNECT_FAILURES: readonly (readonly [error: ProxyError, host: string, phrase: string])[] = [
  [new ProxyError('dns_failed', 'x'), 'no-such.example', 'dns_failed: no-such.example does not exist'],
  [
    new ProxyError('dns_failed', 'x', { cause: Object.assign(new Error('later'), { code: 'EAI_AGAIN' }) }),
    'a.example',
    'dns_failed: a.example cannot be resolved now',
  ],
  [
    new ProxyError('connection_refused', '10.1.2.3: x'),
    'a.example',
    'connection_refused: a.example:443 refused the connection',
  ],
  [new ProxyError('denied', 'rule x'), '2001:db8::1', 'denied: a rule of this proxy does not allow [2001:db8::1]:443'],
  [
    new ProxyError('connection_refused', 'http://up.corp:1: x', {
      clientMessage: 'The upstream proxy could not be reached.',
      clientDetail: 'The route led through http://up.corp:1.',
    }),
    'a.example',
    'connection_refused: a.example: the upstream proxy could not be reached',
  ],
  [
    new ProxyError('no_route', 'the PAC http://pac.corp/ says PROXY x', { clientDetail: 'The PAC file has failed.' }),
    'a.example',
    'no_route: there is no route to a.example',
  ],
  [
    new ProxyError('dns_timeout', 'x'),
    `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example`,
    `dns_timeout: ${'a'.repeat(40)}...${'c'.repeat(9)}.example was not resolved in time`,
  ],
];
for (const [error, host, phrase] of CONNECT_FAILURES) {
  test(`a failed CONNECT has the phrase ${JSON.stringify(phrase)}`, () => {
    assert.equal(
      refusalResponse(error, { id: 'r', protocol: 'http/1.1', tunnel: { host, port: 443 } }, US).reason,
      phrase,
    );
  });
}

test('no phrase is longer than 120 visible ASCII bytes, and each begins with its code', () => {
  for (const code of Object.keys(FAILURES).filter(isCode)) {
    for (const host of ['a.example', '2001:db8:1111:2222:3333:4444:5555:6666', `${'x'.repeat(63)}.`.repeat(3)]) {
      const { reason } = refusalResponse(
        new ProxyError(code, ''),
        { id: 'r', protocol: 'http/1.1', tunnel: { host, port: 65_535 } },
        US,
      );
      assert.match(reason, new RegExp(`^${code}: [\\x20-\\x7e]+$`));
      assert.ok(reason.length <= 120, reason);
    }
  }
});
