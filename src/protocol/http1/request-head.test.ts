import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import { isMethodTooLong, parseRequestHead, parseRequestLine } from './request-head.ts';

test('splits a head and changes nothing', () => {
  assert.deepEqual(parseRequestHead('GET http://a/b?c HTTP/1.1\r\nHost: a\r\nX-Y: Z', 10), {
    method: 'GET',
    target: 'http://a/b?c',
    version: '1.1',
    headers: [
      ['Host', 'a'],
      ['X-Y', 'Z'],
    ],
  });
});

test('a head may have no fields; methods keep their case; a later minor version is 1.1', () => {
  assert.deepEqual(parseRequestHead('geT / HTTP/1.0', 10), { method: 'geT', target: '/', version: '1.0', headers: [] });
  assert.equal(parseRequestLine('GET / HTTP/1.7').version, '1.1');
});

const REFUSALS: readonly (readonly [line: string, code: string])[] = [
  ['', 'bad_request'],
  ['GET', 'bad_request'],
  ['GET /', 'bad_request'],
  ['GET  / HTTP/1.1', 'bad_request'],
  ['GET / HTTP/1.1 ', 'bad_request'],
  [' GET / HTTP/1.1', 'bad_request'],
  ['GET\t/ HTTP/1.1', 'bad_request'],
  ['GET /a b HTTP/1.1', 'bad_request'],
  ['GET /\xe9 HTTP/1.1', 'bad_request'],
  ['GET /\x7f HTTP/1.1', 'bad_request'],
  ['G{T / HTTP/1.1', 'bad_request'],
  ['GET / http/1.1', 'bad_request'],
  ['GET / HTTP/1.1.1', 'bad_request'],
  ['GET / HTTP/1.x', 'bad_request'],
  ['GET / HTTP/2.0', 'version_unsupported'],
  ['PRI * HTTP/2.0', 'version_unsupported'],
  ['GET / HTTP/0.9', 'version_unsupported'],
  ['GET / HTTP/2', 'version_unsupported'],
  ['GET / HTTP/1.10', 'version_unsupported'],
  [`${'M'.repeat(33)} / HTTP/1.1`, 'not_implemented'],
];
for (const [line, code] of REFUSALS) {
  test(`${JSON.stringify(line)} is ${code}`, () => {
    assert.throws(
      () => parseRequestLine(line),
      (error) => error instanceof ProxyError && error.code === code,
    );
  });
}

test('a long line without a space is a long method, one with a space a long target', () => {
  assert.equal(isMethodTooLong('M'.repeat(64)), true);
  assert.equal(isMethodTooLong(`GET /${'a'.repeat(59)}`), false);
});
