import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { isInside, noNamespace, runInside } from '../../../test/support/namespace.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { until } from '../../../test/support/until.ts';
import { localAddresses } from './local-addresses.ts';

const ip = (...words: readonly string[]): string => {
  const { status, stdout, stderr } = spawnSync('ip', words, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
};

/** An interface with an address, and nothing at its other end. Node leaves it out until the kernel has noticed its carrier. */
async function attach(name: string, address: string): Promise<void> {
  ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-far`);
  ip('addr', 'add', address, 'dev', name);
  for (const end of [name, `${name}-far`]) ip('link', 'set', end, 'up');
  await until(() => ip('-o', 'link', 'show', name).includes(' state UP '), `${name} has a carrier`);
}

if (isInside()) {
  test('without a network there are no local addresses', async () => {
    ip('addr', 'flush', 'dev', 'lo', 'scope', 'global');
    assert.deepEqual(await localAddresses(), { first: undefined, all: [] });
  });

  test('an interface without a route gives its address', async () => {
    await attach('side0', '192.0.2.9/32');
    assert.deepEqual(await localAddresses(), { first: '192.0.2.9', all: ['192.0.2.9'] });
  });

  test('with a route to a private network alone, the source address of that route is used', async () => {
    await attach('office0', '10.1.1.1/16');
    ip('route', 'add', '10.0.0.0/8', 'dev', 'office0');
    assert.deepEqual(await localAddresses(), { first: '10.1.1.1', all: ['10.1.1.1'] });
  });

  test('the default route takes precedence', async () => {
    await attach('out0', '198.51.100.7/24');
    ip('route', 'add', 'default', 'dev', 'out0');
    assert.deepEqual(await localAddresses(), { first: '198.51.100.7', all: ['198.51.100.7'] });
  });
} else {
  test(
    'this machine is asked without leaving a socket open',
    leavesNothing(async () => {
      const { first, all } = await localAddresses();
      assert.equal(first, all[0]);
    }),
  );

  test('addresses follow the routes', { skip: noNamespace(), timeout: 60_000 }, () => runInside(import.meta.url));
}
