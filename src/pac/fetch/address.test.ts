import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { pacAddress, shownAddress } from './address.ts';

test('distinguishes URLs from paths', () => {
  assert.deepEqual(pacAddress('HTTP://Pac.Example/p.pac'), { kind: 'http', url: 'http://pac.example/p.pac' });
  assert.deepEqual(pacAddress('https://pac.example:8443/p'), { kind: 'http', url: 'https://pac.example:8443/p' });
  assert.deepEqual(pacAddress('file:///etc/my%20proxy.pac'), { kind: 'file', path: '/etc/my proxy.pac' });
  assert.deepEqual(pacAddress('/etc/proxy.pac'), { kind: 'file', path: '/etc/proxy.pac' });
  assert.deepEqual(pacAddress('proxy.pac'), { kind: 'file', path: resolve('proxy.pac') });
  assert.deepEqual(pacAddress('c:proxy.pac'), { kind: 'file', path: resolve('c:proxy.pac') });
  assert.deepEqual(pacAddress('data:,x'), { kind: 'data', url: 'data:,x' });
  for (const none of ['ftp://pac.example/p', 'http://', 'http://[::1/', 'file://elsewhere/p', 'javascript:1']) {
    assert.equal(pacAddress(none), undefined, none);
  }
});

test('shows an address without its secrets', () => {
  const shown = (text: string) => {
    const address = pacAddress(text);
    return address && shownAddress(address);
  };
  assert.equal(shown('https://me:secret@pac.example/p.pac?token=secret#part'), 'https://pac.example/p.pac?…');
  assert.equal(shown('http://pac.example:8080/p'), 'http://pac.example:8080/p');
  assert.equal(shown('data:,secret'), 'a data: URL');
  assert.equal(shown('/etc/proxy.pac'), '/etc/proxy.pac');
});
