import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ForwardRequest } from '../contracts/request.ts';
import { scriptUrl, scriptUrlOf } from './script-url.ts';

const argumentsFor = (text: string): string[] => {
  const { url, host } = scriptUrl(text);
  return [url, host];
};

test('an encrypted URL loses path, query and login, a plain one login and fragment', () => {
  assert.deepEqual(argumentsFor('https://u:p@Example.com:8443/a?b#c'), ['https://example.com:8443/', 'example.com']);
  assert.deepEqual(argumentsFor('wss://example.com/a?b'), ['wss://example.com/', 'example.com']);
  assert.deepEqual(argumentsFor('http://u:p@example.com/a?b#c'), ['http://example.com/a?b', 'example.com']);
  assert.deepEqual(argumentsFor('ws://example.com/a?b'), ['ws://example.com/a?b', 'example.com']);
});

test('hosts are without brackets, names as A-labels, default ports left out', () => {
  assert.deepEqual(argumentsFor('http://[2001:DB8::1]:8080/'), ['http://[2001:db8::1]:8080/', '2001:db8::1']);
  assert.deepEqual(argumentsFor('https://bücher.example:443/'), [
    'https://xn--bcher-kva.example/',
    'xn--bcher-kva.example',
  ]);
  assert.deepEqual(argumentsFor('//example.com'), ['https://example.com/', 'example.com']);
});

test('a text that is not a URL stays unchanged', () => {
  assert.deepEqual(argumentsFor('http://$ %/x'), ['http://$ %/x', '$ %']);
  assert.deepEqual(argumentsFor('nonsense'), ['nonsense', '']);
});

test('a plain request has the scheme http: for a script, also when the client wrote ws:', () => {
  const request: ForwardRequest = {
    kind: 'forward',
    id: 'one',
    requestTarget: 'http://example.com/a?b',
    protocol: 'http/1.1',
    credentials: undefined,
    method: 'GET',
    headers: [],
    client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
    signal: new AbortController().signal,
    startedMs: 0,
    target: { host: 'example.com', port: 80 },
    url: 'http://example.com/a?b',
    path: '/a?b',
    body: undefined,
  };
  for (const url of ['http://example.com/a?b', 'ws://example.com/a?b', 'WS://example.com:80/a?b']) {
    assert.deepEqual(scriptUrlOf({ ...request, url }), { url: 'http://example.com/a?b', host: 'example.com' });
  }
});
