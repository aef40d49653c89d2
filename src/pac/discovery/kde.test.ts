import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playedSystem } from '../../../test/support/system-world.ts';
import { kdeSetting, parseKioslaverc } from './kde.ts';

const none = { kind: 'none', wpad: 'unmentioned' };

test('reads every type of setting', () => {
  const kind = (type: number, more = '') => parseKioslaverc(`[Proxy Settings]\nProxyType=${type}\n${more}`);
  assert.deepEqual(kind(0), none);
  assert.deepEqual(kind(4), none);
  assert.deepEqual(kind(3), { kind: 'none', wpad: 'wanted' });
  const pac = { kind: 'pac', url: 'file:///home/me/p.pac', source: 'KDE', wpad: 'unmentioned' };
  assert.deepEqual(kind(2, 'Proxy Config Script[$e]=file:///home/me/p.pac\n'), pac);
  assert.deepEqual(kind(2), none);
  assert.deepEqual(
    kind(1, 'httpProxy=http://proxy.corp 8080\nhttpsProxy=http://proxy.corp:8443/\nNoProxyFor=localhost,.corp\n'),
    {
      kind: 'proxies',
      proxies: {
        source: 'KDE',
        http: 'http://proxy.corp:8080',
        https: 'http://proxy.corp:8443',
        noProxy: ['localhost', '.corp'],
      },
      wpad: 'unmentioned',
    },
  );
  assert.deepEqual(kind(1, 'httpProxy=http://proxy.corp 8080\nReversedException=true\n'), none);
});

test('reads its own group only', () => {
  assert.deepEqual(parseKioslaverc('ProxyType=3\n[Other]\nProxyType=3\n[Proxy Settings][x]\nProxyType=3\n'), none);
});

test("the user's file overrides the system's, in a KDE session only", async () => {
  const files = {
    '/etc/xdg/kioslaverc': '[Proxy Settings]\nProxyType=2\nProxy Config Script=http://shared.example/\n',
    '/home/me/.config/kioslaverc': '[Proxy Settings]\nProxy Config Script=http://own.example/\n',
  };
  const setting = (environment: Record<string, string>) => kdeSetting(playedSystem({ environment, files }));
  const url = 'http://own.example/';
  assert.deepEqual(await setting({ XDG_CURRENT_DESKTOP: 'KDE' }), {
    kind: 'pac',
    url,
    source: 'KDE',
    wpad: 'unmentioned',
  });
  assert.deepEqual(await setting({ XDG_CURRENT_DESKTOP: 'GNOME' }), none);
});
