import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { trusting } from '../../test/support/trusting.ts';
import type { Config } from '../config/config.ts';
import { resolveOptions } from '../config/schema.ts';
import { noAuthentication } from '../identity/none.ts';
import { createLimits } from '../limits/limits.ts';
import { type BuildAuthenticator, createGeneration } from './generation.ts';
import { InForce } from './in-force.ts';
import { createSharedServices } from './shared-services.ts';

/** Every generation has these authenticators. */
async function setup(authenticators: readonly BuildAuthenticator[]) {
  const clock = new ManualClock();
  const config = resolveOptions({ routes: { pac: 'none' } });
  const notices: string[] = [];
  const observe: Parameters<typeof createSharedServices>[0]['observe'] = (event) => {
    if (event.type === 'notice') notices.push(`${event.level}: ${event.message}`);
  };
  const shared = createSharedServices({
    clock,
    observe,
    tap: undefined,
    lookup: undefined,
    secure: trusting(),
    limiter: createLimits(config.limits, { clock, observe }),
    listeners: () => [],
    stateDir: undefined,
    environment: {},
    trace: 'lookups',
  });
  const inForce = new InForce(config, clock);
  const reload = async (next: Config = config) =>
    inForce.replace(next, await createGeneration(next, { authenticators }, shared));
  await reload();
  return { clock, config, notices, inForce, reload, shared };
}

/** Promises that are settled go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Records the name of the configuration that it was built for when it is disposed. */
const recorder =
  (ended: string[]): BuildAuthenticator =>
  ({ name }) => ({ ...noAuthentication, [Symbol.dispose]: () => void ended.push(name) });

test('a generation is disposed when the last request that began in it ends, and not before', async () => {
  const ended: string[] = [];
  const { config, inForce, reload, shared } = await setup([recorder(ended)]);
  await using _shared = shared;
  const old = inForce.services;
  // A request and a tunnel.
  old.lifetime.acquire();
  old.lifetime.acquire();
  await reload({ ...config, name: 'second' });
  assert.notEqual(inForce.services, old);
  old.lifetime.release();
  await settle();
  assert.deepEqual(ended, []);
  old.lifetime.release();
  await settle();
  assert.deepEqual(ended, ['viaduct']);
  await inForce[Symbol.asyncDispose]();
  assert.deepEqual(ended, ['viaduct', 'second']);
});

test('a generation that no request uses is disposed by the reload; the one in force is kept', async () => {
  const ended: string[] = [];
  const { config, inForce, reload, shared } = await setup([recorder(ended)]);
  await using _shared = shared;
  inForce.services.lifetime.acquire();
  inForce.services.lifetime.release();
  await settle();
  assert.deepEqual(ended, []);
  await reload({ ...config, name: 'second' });
  await settle();
  assert.deepEqual(ended, ['viaduct']);
  await inForce[Symbol.asyncDispose]();
});

test('an authenticator that cannot be disposed is reported, and stops neither the others nor the next reload', async () => {
  const ended: string[] = [];
  const failing: BuildAuthenticator = () => ({
    ...noAuthentication,
    [Symbol.asyncDispose]: () => Promise.reject(new Error('the directory is gone')),
  });
  const { config, notices, inForce, reload, shared } = await setup([recorder(ended), failing, recorder(ended)]);
  await using _shared = shared;
  await reload({ ...config, name: 'second' });
  await settle();
  assert.deepEqual(ended, ['viaduct', 'viaduct']);
  assert.deepEqual(notices, ['error: closing failed (authenticator): the directory is gone']);
  await inForce[Symbol.asyncDispose]();
  assert.equal(notices.length, 2);
});

test('closing waits for requests of earlier generations too, and for a request that never ends only so long', async () => {
  const ended: string[] = [];
  const { clock, config, inForce, reload, shared } = await setup([recorder(ended)]);
  await using _shared = shared;
  const { lifetime } = inForce.services;
  lifetime.acquire();
  await reload({ ...config, name: 'second' });
  inForce.services.lifetime.acquire();
  const closing = inForce[Symbol.asyncDispose]();
  lifetime.release();
  await settle();
  assert.deepEqual(ended, ['viaduct']);
  clock.advance(999);
  await settle();
  assert.deepEqual(ended, ['viaduct']);
  clock.advance(1);
  await closing;
  assert.deepEqual(ended, ['viaduct', 'second']);
});
