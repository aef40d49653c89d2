import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { KEYRING_PACKAGES, TestBus, TestKeyring } from '../../../test/support/keyring.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { missing } from '../../../test/support/requires.ts';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { Secret } from '../../contracts/secret.ts';
import { systemClock } from '../../util/clock.ts';
import type { Environment } from '../environment.ts';
import { type Keyring, systemKeyring } from './keyring.ts';
import type { EntryOf } from './keyring-entry.ts';

const skip = missing(...KEYRING_PACKAGES);

const never = () => assert.fail('the library must not be loaded');
const keyringAt = (environment: Environment, load?: () => Promise<EntryOf | undefined>): Keyring =>
  systemKeyring({
    clock: systemClock,
    environment,
    platform: 'linux',
    ...(load === undefined ? {} : { load }),
  });

test('stores, finds and removes an entry of a real keyring', { skip }, async () => {
  using folder = temporaryFolder();
  await using lab = await TestKeyring.start(folder.path);
  // The library reads the address from the process, as every D-Bus client does.
  using _address = sessionBusIs(lab.bus.address);
  const keyring = keyringAt(lab.bus.environment);

  assert.deepEqual(await keyring.find('viaduct', 'CORP\\me'), { at: 'absent' });
  assert.deepEqual(await keyring.store('viaduct', 'CORP\\me', new Secret('påsswörd')), { at: 'done' });
  assert.equal(lab.look('viaduct', 'CORP\\me'), 'påsswörd');
  const found = await keyring.find('viaduct', 'CORP\\me');
  assert.equal(found.at === 'found' && found.secret.reveal(), 'påsswörd');

  assert.deepEqual(await keyring.remove('viaduct', 'CORP\\me'), { at: 'done' });
  assert.equal(lab.look('viaduct', 'CORP\\me'), '');
  assert.deepEqual(await keyring.remove('viaduct', 'CORP\\me'), { at: 'absent' });

  lab.store('alpaca', 'me', 'stored for Alpaca');
  const alpacas = await keyring.find('alpaca', 'me');
  assert.equal(alpacas.at === 'found' && alpacas.secret.reveal(), 'stored for Alpaca');

  lab.lock();
  const locked = { at: 'unavailable', why: 'the keyring is locked' };
  assert.deepEqual(await keyringAt(lab.bus.environment, never).find('alpaca', 'me'), locked);
  assert.deepEqual(await keyringAt(lab.bus.environment, never).store('viaduct', 'me', new Secret('x')), locked);
});

test('a bus without a keyring starts none', { skip }, async () => {
  using folder = temporaryFolder();
  const trap = `${folder.path}/started`;
  await using bus = await TestBus.start(folder.path, { 'org.freedesktop.secrets': `/usr/bin/touch ${trap}` });
  const keyring = keyringAt(bus.environment, never);
  const none = { at: 'unavailable', why: 'no keyring runs in this session' };
  assert.deepEqual(await keyring.find('alpaca', 'me'), none);
  assert.deepEqual(await keyring.store('viaduct', 'me', new Secret('x')), none);
  assert.deepEqual(await keyring.remove('viaduct', 'me'), none);
  assert.equal(existsSync(trap), false);
  // A call with auto-start, as most programs make it, starts the trap: so it works.
  assert.throws(() => bus.send('org.freedesktop.secrets', '/', 'org.freedesktop.DBus.Peer.Ping'));
  assert.equal(existsSync(trap), true);
});

test(
  'no bus is a quiet no',
  leavesNothing(async () => {
    const none = { at: 'unavailable', why: 'no keyring runs in this session' };
    for (const environment of [
      {},
      { DISPLAY: ':0' },
      { DBUS_SESSION_BUS_ADDRESS: 'autolaunch:' },
      { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent/bus' },
      { XDG_RUNTIME_DIR: '/nonexistent' },
    ]) {
      assert.deepEqual(await keyringAt(environment, never).find('viaduct', 'me'), none);
    }
  }),
);

test('the keyring of macOS and Windows needs no bus', async () => {
  const stored = new Map([['viaduct/me', 'secret']]);
  const load = async (): Promise<EntryOf> => (service, entry) => ({
    getPassword: async () => stored.get(`${service}/${entry}`) ?? null,
    setPassword: async (text) => void stored.set(`${service}/${entry}`, text),
    deletePassword: async () => stored.delete(`${service}/${entry}`),
  });
  for (const platform of ['darwin', 'win32'] as const) {
    const keyring = systemKeyring({ clock: systemClock, environment: {}, platform, load });
    const found = await keyring.find('viaduct', 'me');
    assert.equal(found.at === 'found' && found.secret.reveal(), 'secret');
    assert.deepEqual(await keyring.find('viaduct', 'you'), { at: 'absent' });
  }
  const without = systemKeyring({
    clock: systemClock,
    environment: {},
    platform: 'win32',
    load: async () => undefined,
  });
  assert.deepEqual(await without.find('viaduct', 'me'), {
    at: 'unavailable',
    why: 'there is no keyring library for this machine',
  });
});

test('a keyring that hangs is given up after 5 s, and one that fails says nothing of what it holds', async () => {
  const clock = new ManualClock();
  const hanging = async (): Promise<EntryOf> => () => ({
    getPassword: () => new Promise(() => {}),
    setPassword: () => Promise.reject(new Error('cannot store s3cret')),
    deletePassword: () => new Promise(() => {}),
  });
  const keyring = systemKeyring({ clock, environment: {}, platform: 'darwin', load: hanging });
  const finding = keyring.find('viaduct', 'me');
  await clock.pass(5000);
  const unavailable = { at: 'unavailable', why: 'the keyring returns no secret' };
  assert.deepEqual(await finding, unavailable);
  assert.deepEqual(await keyring.store('viaduct', 'me', new Secret('s3cret')), unavailable);
  assert.equal(clock.pending, 0);
});

/** For as long as the scope lasts. */
function sessionBusIs(address: string): Disposable {
  const before = process.env.DBUS_SESSION_BUS_ADDRESS;
  process.env.DBUS_SESSION_BUS_ADDRESS = address;
  return {
    [Symbol.dispose]() {
      if (before === undefined) delete process.env.DBUS_SESSION_BUS_ADDRESS;
      else process.env.DBUS_SESSION_BUS_ADDRESS = before;
    },
  };
}
