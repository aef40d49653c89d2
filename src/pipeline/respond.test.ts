import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAILURES, type FailureCode, ProxyError } from '../core/failure.ts';
import { refusal } from './respond.ts';

const US = { name: 'viaduct', pseudonym: 'viaduct-ab12' };

test('says what happened, to a person and to a program', () => {
  assert.deepEqual(refusal(new ProxyError('refused', 'a detail for the log'), 'r-7', '1.0', US), {
    status: 502,
    reason: 'Bad Gateway',
    headers: [
      ['Content-Type', 'text/plain; charset=utf-8'],
      ['Proxy-Status', 'viaduct; error=connection_refused'],
      ['Via', '1.0 viaduct-ab12'],
    ],
    body: 'The destination refused the connection.\n\n502 Bad Gateway (refused), from the proxy "viaduct", request r-7.\n',
  });
});

test('what the client may be told is told, and fields are added', () => {
  const error = new ProxyError('over_rate', 'x', { told: 'The limit is called "a".', fields: [['Retry-After', '3']] });
  const { headers, body } = refusal(error, 'r', '1.1', US);
  assert.deepEqual(headers.at(-1), ['Retry-After', '3']);
  assert.ok(body.includes('try again later. The limit is called "a".\n'));
});

const isCode = (code: string): code is FailureCode => code in FAILURES;

for (const code of Object.keys(FAILURES).filter(isCode)) {
  test(`${code} has a status with a name, a registered token and a whole sentence`, () => {
    const { reason, status, body, headers } = refusal(new ProxyError(code, ''), 'r', '1.1', US);
    assert.ok(status >= 400 && status < 600);
    assert.ok(reason !== '' || status === 499, `${status} has no name`);
    assert.match(String(body), /^[A-Z][^\n]*[.]\n/);
    assert.match(headers[1]?.[1] ?? '', /^viaduct; error=[a-z_]+$/);
  });
}
