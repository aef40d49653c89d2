import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scriptUrl } from './script-url.ts';

const told = (text: string): string[] => {
  const { url, host } = scriptUrl(text);
  return [url, host];
};

test('an encrypted URL keeps neither path nor query nor login, a plain one only loses login and fragment', () => {
  assert.deepEqual(told('https://u:p@Example.com:8443/a?b#c'), ['https://example.com:8443/', 'example.com']);
  assert.deepEqual(told('wss://example.com/a?b'), ['wss://example.com/', 'example.com']);
  assert.deepEqual(told('http://u:p@example.com/a?b#c'), ['http://example.com/a?b', 'example.com']);
  assert.deepEqual(told('ws://example.com/a?b'), ['ws://example.com/a?b', 'example.com']);
});

test('hosts come without brackets, names as DNS has them, default ports not at all', () => {
  assert.deepEqual(told('http://[2001:DB8::1]:8080/'), ['http://[2001:db8::1]:8080/', '2001:db8::1']);
  assert.deepEqual(told('https://bücher.example:443/'), ['https://xn--bcher-kva.example/', 'xn--bcher-kva.example']);
  assert.deepEqual(told('//example.com'), ['https://example.com/', 'example.com']);
});

test('what is no URL stays as it is', () => {
  assert.deepEqual(told('http://$ %/x'), ['http://$ %/x', '$ %']);
  assert.deepEqual(told('nonsense'), ['nonsense', '']);
});
