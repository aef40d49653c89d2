import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../core/failure.ts';
import { parseRequestTarget } from './request-target.ts';

test('CONNECT names an authority', () => {
  assert.deepEqual(parseRequestTarget('CONNECT', '[::1]:443'), {
    form: 'authority',
    target: { host: '::1', port: 443 },
  });
});

const ABSOLUTE: readonly (readonly [text: string, host: string, port: number, path: string])[] = [
  ['http://a', 'a', 80, ''],
  ['http://a/', 'a', 80, '/'],
  ['http://a?x', 'a', 80, '?x'],
  ['HTTP://A:8080//b/../%2f;c?d=http://e/', 'a', 8080, '//b/../%2f;c?d=http://e/'],
  ['http://[::1]:81/x', '::1', 81, '/x'],
  ['http://a:/x', 'a', 80, '/x'],
];
for (const [text, host, port, path] of ABSOLUTE) {
  test(`${text} is ${host} port ${port} and the path ${JSON.stringify(path)}, byte by byte`, () => {
    assert.deepEqual(parseRequestTarget('GET', text), { form: 'absolute', target: { host, port }, path });
  });
}

test('what begins with a slash, and OPTIONS *, is for the proxy itself', () => {
  assert.deepEqual(parseRequestTarget('GET', '/a?b'), { form: 'own', path: '/a?b' });
  assert.deepEqual(parseRequestTarget('OPTIONS', '*'), { form: 'own', path: '*' });
});

const REFUSALS: readonly (readonly [method: string, text: string, code: string])[] = [
  ['GET', '*', 'bad_request'],
  ['GET', 'a:80', 'bad_request'],
  ['GET', 'a', 'bad_request'],
  ['GET', 'http:a/x', 'bad_request'],
  ['GET', 'http:/a/x', 'bad_request'],
  ['GET', 'http:///x', 'bad_request'],
  ['GET', 'http://', 'bad_request'],
  ['GET', 'http://u@a/', 'bad_request'],
  ['GET', 'http://u:p@a/', 'bad_request'],
  ['GET', 'http://a/#f', 'bad_request'],
  ['GET', 'http://a\\@b/', 'bad_request'],
  ['GET', 'http://a:0/', 'bad_request'],
  ['GET', 'http://a:99999/', 'bad_request'],
  ['GET', 'https://a/', 'not_implemented'],
  ['GET', 'ftp://a/', 'not_implemented'],
  ['GET', 'file:///etc/passwd', 'not_implemented'],
  ['CONNECT', 'http://a:443/', 'bad_request'],
  ['CONNECT', 'a', 'bad_request'],
  ['CONNECT', '/', 'bad_request'],
  ['CONNECT', '*', 'bad_request'],
];
for (const [method, text, code] of REFUSALS) {
  test(`${method} ${text} is ${code}`, () => {
    assert.throws(
      () => parseRequestTarget(method, text),
      (error) => error instanceof ProxyError && error.code === code,
    );
  });
}
