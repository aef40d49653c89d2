import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import { parseRequestTarget } from './request-target.ts';

test('the target of CONNECT is an authority', () => {
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
  ['ws://a', 'a', 80, ''],
  ['ws://a?x', 'a', 80, '?x'],
  ['WS://A:8080//b/../%2f;c?d=http://e/', 'a', 8080, '//b/../%2f;c?d=http://e/'],
  ['ws://[::1]/x', '::1', 80, '/x'],
];
for (const [text, host, port, path] of ABSOLUTE) {
  test(`${text} is ${host} port ${port} and the path ${JSON.stringify(path)}, byte by byte`, () => {
    assert.deepEqual(parseRequestTarget('GET', text), { form: 'absolute', target: { host, port }, path });
  });
}

test('a path, and OPTIONS *, is for the proxy itself', () => {
  assert.deepEqual(parseRequestTarget('GET', '/a?b'), { form: 'local', path: '/a?b' });
  assert.deepEqual(parseRequestTarget('OPTIONS', '*'), { form: 'local', path: '*' });
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
  ['GET', 'ws:a/x', 'bad_request'],
  ['GET', 'ws:///x', 'bad_request'],
  ['GET', 'ws://u:p@a/', 'bad_request'],
  ['GET', 'ws://a/#f', 'bad_request'],
  ['GET', 'wss://a/', 'not_implemented'],
  ['GET', 'https://a/', 'not_implemented'],
  ['GET', 'ftp://a/', 'not_implemented'],
  ['GET', 'file:///etc/passwd', 'not_implemented'],
  ['CONNECT', 'http://a:443/', 'bad_request'],
  ['CONNECT', 'a', 'bad_request'],
  ['CONNECT', '/', 'bad_request'],
  ['CONNECT', '*', 'bad_request'],
];
const SENTENCES: readonly (readonly [text: string, sentence: RegExp])[] = [
  ['https://a/', /^An https URL is reached through a tunnel: .*CONNECT/],
  ['HTTPS://a/', /^An https URL is reached through a tunnel/],
  ['wss://a/', /^A wss URL is reached through a tunnel/],
  ['ftp://a/', /^This proxy does not speak FTP: /],
  ['file:///etc/passwd', /^A file URL names a file of the machine that the client runs on/],
  ['gopher://a/', /^This proxy forwards http URLs; all else goes through a tunnel/],
  ['constructor://a/', /^This proxy forwards http URLs/],
];
for (const [text, sentence] of SENTENCES) {
  test(`GET ${text} is refused with advice for its scheme`, () => {
    assert.throws(
      () => parseRequestTarget('GET', text),
      (error) =>
        error instanceof ProxyError &&
        sentence.test(error.clientMessage ?? '') &&
        error.clientMessage?.endsWith('.') === true,
    );
  });
}

for (const [method, text, code] of REFUSALS) {
  test(`${method} ${text} is ${code}`, () => {
    assert.throws(
      () => parseRequestTarget(method, text),
      (error) => error instanceof ProxyError && error.code === code,
    );
  });
}
