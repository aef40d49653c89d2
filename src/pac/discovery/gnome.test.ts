import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playedSystem } from '../../../test/support/system-world.ts';
import { gnomeSetting, parseGsettings } from './gnome.ts';

const settings = (changed: Record<string, string>): string => {
  const all: Record<string, string> = {
    'org.gnome.system.proxy autoconfig-url': "''",
    'org.gnome.system.proxy ignore-hosts': "['localhost', '127.0.0.0/8', '::1']",
    'org.gnome.system.proxy mode': "'none'",
    'org.gnome.system.proxy use-same-proxy': 'true',
    'org.gnome.system.proxy.ftp host': "''",
    'org.gnome.system.proxy.ftp port': '0',
    'org.gnome.system.proxy.http authentication-password': "''",
    'org.gnome.system.proxy.http authentication-user': "''",
    'org.gnome.system.proxy.http enabled': 'false',
    'org.gnome.system.proxy.http host': "''",
    'org.gnome.system.proxy.http port': '8080',
    'org.gnome.system.proxy.http use-authentication': 'false',
    'org.gnome.system.proxy.https host': "''",
    'org.gnome.system.proxy.https port': '0',
    'org.gnome.system.proxy.socks host': "''",
    'org.gnome.system.proxy.socks port': '0',
    ...Object.fromEntries(Object.entries(changed).map(([key, value]) => [`org.gnome.system.proxy${key}`, value])),
  };
  return Object.entries(all)
    .map(([key, value]) => `${key} ${value}\n`)
    .join('');
};

test('reads the three modes', () => {
  assert.deepEqual(parseGsettings(settings({})), { kind: 'none', wpad: 'unmentioned' });
  assert.deepEqual(parseGsettings(settings({ ' mode': "'auto'" })), { kind: 'none', wpad: 'wanted' });
  assert.deepEqual(parseGsettings(settings({ ' mode': "'auto'", ' autoconfig-url': `"http://a/it's.pac"` })), {
    kind: 'pac',
    url: "http://a/it's.pac",
    source: 'GNOME',
    wpad: 'unmentioned',
  });
  const manual = {
    ' mode': "'manual'",
    '.http host': "'proxy.corp'",
    '.socks host': "'socks.corp'",
    '.socks port': '1080',
  };
  assert.deepEqual(parseGsettings(settings(manual)), {
    kind: 'proxies',
    proxies: {
      source: 'GNOME',
      http: 'http://proxy.corp:8080',
      https: 'socks5://socks.corp:1080',
      noProxy: ['localhost', '127.0.0.0/8', '::1'],
    },
    wpad: 'unmentioned',
  });
});

test('reads the login of the HTTP proxy', () => {
  const setting = parseGsettings(
    settings({
      ' mode': "'manual'",
      ' ignore-hosts': '@as []',
      '.http host': "'proxy.corp'",
      '.http use-authentication': 'true',
      '.http authentication-user': "'me@corp'",
      '.http authentication-password': "'it\\'s'",
    }),
  );
  assert.deepEqual(setting.kind === 'proxies' && setting.proxies, {
    source: 'GNOME',
    http: "http://me%40corp:it's@proxy.corp:8080",
    https: undefined,
    noProxy: [],
  });
});

test('runs gsettings only in a desktop session that has its bus', async () => {
  const command = 'gsettings list-recursively org.gnome.system.proxy';
  const kindIn = async (environment: Record<string, string>, files: Record<string, string> = {}) => {
    const commands = { [command]: settings({ ' mode': "'auto'", ' autoconfig-url': "'http://a/'" }) };
    const world = playedSystem({ environment, files, commands });
    return [(await gnomeSetting(world)).kind, world.ran.length];
  };
  const desktop = { XDG_CURRENT_DESKTOP: 'ubuntu:GNOME' };
  assert.deepEqual(await kindIn({ ...desktop, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/user/1/bus' }), ['pac', 1]);
  const runtime = { ...desktop, XDG_RUNTIME_DIR: '/run/user/1' };
  assert.deepEqual(await kindIn(runtime, { '/run/user/1/bus': '' }), ['pac', 1]);
  assert.deepEqual(await kindIn(runtime), ['none', 0]);
  assert.deepEqual(await kindIn({ ...runtime, DBUS_SESSION_BUS_ADDRESS: 'autolaunch:' }, { '/run/user/1/bus': '' }), [
    'none',
    0,
  ]);
  assert.deepEqual(await kindIn({ DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/user/1/bus' }), ['none', 0]);
  assert.deepEqual(await kindIn({ XDG_CURRENT_DESKTOP: 'KDE', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/x' }), ['none', 0]);
});
