import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelOf } from '../../test/support/gate-consumers.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { recordOf } from '../../test/support/records.ts';
import { wirePair } from '../../test/support/wire-pair.ts';
import type { Permit } from '../contracts/stages.ts';
import { createLimits } from '../limits/limits.ts';
import { limitsSchema } from '../limits/options.ts';
import { type LiveEntry, Sessions } from '../sessions/sessions.ts';
import { DialledConnections } from '../upstream/dial/dialled-connections.ts';
import { systemClock } from '../util/clock.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import { UnaccountedCheck } from './unaccounted.ts';

const liveTunnel = (id: string, permit: Permit | undefined): LiveEntry => ({
  slot: NO_SLOT,
  id,
  kind: 'tunnel',
  step: 'relay',
  permit,
  snapshot: () => ({ step: 'relay', record: recordOf(id) }),
  stop: () => undefined,
});

function proxy() {
  const limits = createLimits(limitsSchema.parse({ bandwidth: [{ rate: '1MiB' }, { per: 'tunnel', rate: '1KiB' }] }), {
    clock: new ManualClock(),
    observe: () => undefined,
  });
  const sessions = new Sessions();
  const dialled = new DialledConnections();
  const owned = { connections: 0, sockets: 0, size: 0 };
  const accounts = new UnaccountedCheck({ sessions, limits, listeners: owned, shared: { dialled, pool: owned } });
  const acquire = (): Permit => {
    const permit = limits.acquire(tunnelOf());
    assert.ok(!(permit instanceof Promise));
    return permit;
  };
  return { limits, sessions, dialled, owned, accounts, acquire };
}

const NONE = { permits: 0, buckets: 0, connections: 0, descriptors: 0, timers: 0 };

test('a permit and its buckets are accounted for as long as a request in progress has them', () => {
  const { accounts, sessions, acquire, limits } = proxy();
  using _accounts = accounts;
  const permit = acquire();
  assert.deepEqual(accounts.look(), { ...NONE, permits: 1, buckets: 2 });
  const entry = liveTunnel('a', permit);
  sessions.add(entry);
  assert.deepEqual(accounts.look(), NONE);
  // A reload takes one limit away, and a request that was forgotten then keeps what it holds of the other.
  limits.update(limitsSchema.parse({ bandwidth: { rate: '1MiB' } }));
  assert.deepEqual(accounts.look(), NONE);
  sessions.remove(entry, recordOf('a'));
  assert.deepEqual(accounts.look(), { ...NONE, permits: 1, buckets: 1 });
  permit[Symbol.dispose]();
  assert.deepEqual(accounts.look(), NONE);
});

test('a dialled connection is accounted for while its request is in progress, or while the pool has it', () => {
  const { accounts, sessions, dialled, owned } = proxy();
  using _accounts = accounts;
  const connection = {
    slot: NO_SLOT,
    requestId: '',
    countedIn: undefined,
    early: Buffer.alloc(0),
    address: '',
    wire: Object.create(null),
    [Symbol.dispose]: () => undefined,
  };
  const entry = liveTunnel('a', undefined);
  sessions.add(entry);
  dialled.add(connection, 'a');
  assert.equal(accounts.look().connections, 0);
  sessions.remove(entry, recordOf('a'));
  assert.equal(accounts.look().connections, 1);
  owned.size = 1;
  assert.equal(accounts.look().connections, 0);
  owned.size = 0;
  dialled.delete(connection);
  assert.deepEqual(accounts.look(), NONE);
});

test(
  'a socket without an owner is seen, and so are timers that pile up',
  leavesNothing(async () => {
    const { accounts, owned } = proxy();
    using _accounts = accounts;
    const before = accounts.look();
    await using _pair = await wirePair();
    assert.equal(accounts.look().descriptors, before.descriptors + 1);
    owned.sockets = 1;
    assert.equal(accounts.look().descriptors, before.descriptors);
    const timers = Array.from({ length: 200 }, () => systemClock.after(60_000, () => undefined));
    assert.ok(accounts.look().timers > 100);
    for (const timer of timers) timer[Symbol.dispose]();
    assert.equal(accounts.look().timers, 0);
  }),
);
