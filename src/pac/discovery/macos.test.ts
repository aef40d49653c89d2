import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseScutil } from './macos.ts';

/** Nested dictionaries hold the settings of single interfaces. */
const SCOPED = `  __SCOPED__ : <dictionary> {
    en0 : <dictionary> {
      ExceptionsList : <array> {
        0 : wrong.example
      }
      HTTPEnable : 1
      HTTPPort : 1
      HTTPProxy : wrong.example
      ProxyAutoConfigEnable : 1
      ProxyAutoConfigURLString : http://wrong.example/
    }
  }
`;

test('finds a PAC', () => {
  const output = `<dictionary> {
  HTTPEnable : 1
  HTTPPort : 8080
  HTTPProxy : proxy.corp.example
  ProxyAutoConfigEnable : 1
  ProxyAutoConfigURLString : https://pac.corp.example/proxy.pac?site=a : b
  ProxyAutoDiscoveryEnable : 1
${SCOPED}}
`;
  const url = 'https://pac.corp.example/proxy.pac?site=a : b';
  assert.deepEqual(parseScutil(output), { kind: 'pac', url, source: 'macOS', wpad: 'wanted' });
});

test('finds proxies and exceptions', () => {
  const output = `<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  ExcludeSimpleHostnames : 1
  FTPPassive : 1
  HTTPEnable : 1
  HTTPPort : 8080
  HTTPProxy : proxy.corp.example
  HTTPSEnable : 0
  HTTPSPort : 8443
  HTTPSProxy : off.corp.example
  ProxyAutoConfigEnable : 0
  ProxyAutoConfigURLString : https://off.corp.example/
  SOCKSEnable : 1
  SOCKSPort : 1080
  SOCKSProxy : socks.corp.example
${SCOPED}}
`;
  assert.deepEqual(parseScutil(output), {
    kind: 'proxies',
    proxies: {
      source: 'macOS',
      http: 'http://proxy.corp.example:8080',
      https: 'socks5://socks.corp.example:1080',
      noProxy: ['.local', '169.254.0.0/16', '<local>'],
    },
    wpad: 'unmentioned',
  });
});

test('finds nothing where nothing is set', () => {
  const none = { kind: 'none', wpad: 'unmentioned' };
  assert.deepEqual(parseScutil(`<dictionary> {\n  FTPPassive : 1\n${SCOPED}}\n`), none);
  assert.deepEqual(parseScutil('No proxies\n'), none);
  assert.deepEqual(parseScutil(''), none);
});
