import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exceptions, exceptionText, hostAndPort, proxyText } from './notation.ts';

test('converts proxies to the notation of routes', () => {
  assert.equal(proxyText('proxy.corp:8080'), 'http://proxy.corp:8080');
  assert.equal(proxyText(' https://proxy.corp/ '), 'https://proxy.corp');
  assert.equal(proxyText('socks://proxy.corp:1080'), 'socks5://proxy.corp:1080');
  assert.equal(proxyText('proxy.corp:1080', 'socks4'), 'socks4://proxy.corp:1080');
  assert.equal(proxyText('http://me:p%40ss@proxy.corp'), 'http://me:p%40ss@proxy.corp');
  for (const none of [undefined, '', '  ', 'http://', 'ftp://proxy.corp', 'http://proxy.corp/path', 'a b'])
    assert.equal(proxyText(none), undefined, none);
  assert.equal(hostAndPort('::1', '8080', 'http'), 'http://[::1]:8080');
  assert.equal(hostAndPort('proxy.corp', '0', 'http'), 'http://proxy.corp');
  assert.equal(hostAndPort('', '8080', 'http'), undefined);
});

test('converts exceptions to the notation of NO_PROXY', () => {
  for (const [given, entry] of [
    ['*.local', '.local'],
    ['169.254/16', '169.254.0.0/16'],
    ['10/8', '10.0.0.0/8'],
    ['10.*', '10.0.0.0/8'],
    ['192.168.*.*', '192.168.0.0/16'],
    ['172.16.1.*', '172.16.1.0/24'],
    ['10.1.0.0/16', '10.1.0.0/16'],
    ['10.1.2.3', '10.1.2.3'],
    ['fe80::/10', 'fe80::/10'],
    ['https://intranet', 'intranet'],
    ['<local>', '<local>'],
    ['*intra*', '*intra*'],
    ['*', '*'],
    ['host:8080', 'host:8080'],
  ] as const) {
    assert.equal(exceptionText(given), entry, given);
  }
  assert.deepEqual(exceptions([' a ', '', ' ']), ['a']);
});
