import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playedSystem } from '../../../test/support/system-world.ts';
import { systemSetting } from './system.ts';
import { systemWorld } from './world.ts';

const environment = { http_proxy: 'a:1' };

test('the desktop takes precedence over the environment', async () => {
  const files = { '/home/me/.config/kioslaverc': '[Proxy Settings]\nProxyType=2\nProxy Config Script=http://p/\n' };
  const set = await systemSetting(playedSystem({ environment: { ...environment, XDG_CURRENT_DESKTOP: 'KDE' }, files }));
  assert.equal(set.kind, 'pac');
});

test('where the desktop names nothing the environment is used, and WPAD stays wanted', async () => {
  const files = { '/home/me/.config/kioslaverc': '[Proxy Settings]\nProxyType=3\n' };
  const set = await systemSetting(playedSystem({ environment: { ...environment, XDG_CURRENT_DESKTOP: 'KDE' }, files }));
  assert.deepEqual([set.kind, set.wpad], ['proxies', 'wanted']);
  const mac = playedSystem({ platform: 'darwin', environment });
  assert.deepEqual([(await systemSetting(mac)).kind, mac.ran], ['proxies', ['/usr/sbin/scutil --proxy']]);
  const server = playedSystem({ environment });
  assert.deepEqual([(await systemSetting(server)).kind, server.ran], ['proxies', []]);
});

test('a program that is missing, fails, or does not end gives no output', async () => {
  const world = systemWorld({ PATH: process.env.PATH });
  assert.equal(await world.run('no-such-program', []), undefined);
  assert.equal(await world.run('false', []), undefined);
  assert.equal(await world.run('echo', ['a']), 'a\n');
  const startMs = performance.now();
  assert.equal(await world.run('sleep', ['60']), undefined);
  assert.ok(performance.now() - startMs < 5_000);
});

test('a path that is not a file gives no text', async () => {
  const world = systemWorld({});
  assert.equal(await world.read('/no/such/file'), undefined);
  assert.equal(await world.read('/dev/zero'), undefined);
  assert.deepEqual(await world.list('/no/such/folder'), []);
  assert.match((await world.read('/etc/hostname'))?.text ?? '', /./);
});
