import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import type { Headers } from '../../contracts/request.ts';
import { parseChallenges } from '../http-auth/challenge.ts';
import { requestFraming, responseFraming } from './framing.ts';
import { tokensOf } from './header-list.ts';
import { trimOws } from './ows.ts';
import { parseRequestHead } from './request-head.ts';
import { viaIncludes } from './via.ts';

/** Characters that String.trim() and `\\s` remove besides SP and HTAB, as far as a field value may contain them. */
const NBSP = '\xa0';

test('only SP and HTAB are white space', () => {
  assert.equal(trimOws('\t a \t b\t '), 'a \t b');
  assert.equal(trimOws(''), '');
  assert.equal(trimOws(' \t'), '');
  for (const other of [NBSP, '\x85', '\v', '\f', '\r', '\n', '\0'])
    assert.equal(trimOws(`${other}a${other}`), `${other}a${other}`);
});

const head = (...lines: string[]): Headers =>
  parseRequestHead(['POST http://a.example/ HTTP/1.1', ...lines].join('\r\n'), 100).headers;
const refused = (what: () => unknown, code: string): void =>
  assert.throws(what, (error) => error instanceof ProxyError && error.code === code);

test('a framing field with NBSP around its value is refused: recipients disagree on it', () => {
  for (const value of [`5${NBSP}`, `${NBSP}5`, `5,${NBSP}5`, `5${NBSP},5`, `5 ${NBSP}`, `${NBSP}`, `5${NBSP}6`]) {
    refused(() => requestFraming(head(`Content-Length: ${value}`), '1.1'), 'bad_request');
    refused(() => responseFraming(head(`Content-Length: ${value}`), 200, 'GET', '1.1'), 'origin_protocol');
  }
  for (const value of [`chunked${NBSP}`, `${NBSP}chunked`, `gzip,${NBSP}chunked`, `chunked,${NBSP}`, NBSP]) {
    refused(() => requestFraming(head(`Transfer-Encoding: ${value}`), '1.1'), 'bad_request');
    refused(() => responseFraming(head(`Transfer-Encoding: ${value}`), 200, 'GET', '1.1'), 'origin_protocol');
  }
  assert.deepEqual(requestFraming(head('Content-Length: \t5 , 5\t'), '1.1'), { kind: 'length', bytes: 5 });
  assert.deepEqual(requestFraming(head('Transfer-Encoding:\t chunked \t'), '1.1'), { kind: 'chunked' });
});

test('lists are split by the same rule: Connection, Via, challenges', () => {
  assert.deepEqual(tokensOf(head(`Connection: ${NBSP}close, x\t,\tkeep-alive${NBSP}`), 'connection'), [
    `${NBSP}close`,
    'x',
    `keep-alive${NBSP}`,
  ]);
  assert.equal(viaIncludes(head('Via: 1.0 a,\t1.1\tus '), 'us'), true);
  assert.equal(viaIncludes(head(`Via: 1.1 us${NBSP}`), 'us'), false);
  // It is neither two challenges nor the token of one.
  assert.deepEqual(
    parseChallenges([`NTLM${NBSP}abc`]).map(({ scheme, token68 }) => [scheme, token68]),
    [['ntlm', undefined]],
  );
  assert.equal(parseChallenges([`Basic realm=a${NBSP}b`])[0]?.params.get('realm'), `a${NBSP}b`);
});
