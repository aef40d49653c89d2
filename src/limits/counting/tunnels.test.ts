import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelOf } from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Permit } from '../../contracts/stages.ts';
import { createLimits, type Limits } from '../limits.ts';
import { type LimitsInput, limitsSchema } from '../options.ts';

const start = (tunnels: LimitsInput['tunnels']) => {
  const clock = new ManualClock();
  return { clock, limits: createLimits(limitsSchema.parse({ tunnels }), { clock, observe: () => {} }) };
};
type Who = Parameters<typeof tunnelOf>[0];

function openNow(limits: Limits, who: Who = {}): Permit {
  const permit = limits.acquire(tunnelOf(who));
  assert.ok(!(permit instanceof Promise), 'below the limit');
  return permit;
}
/** A request that has to wait; `code` appears when it is refused. */
function openLater(limits: Limits, who: Who = {}): { permit?: Permit; code?: string; error?: ProxyError } {
  const seen: { permit?: Permit; code?: string; error?: ProxyError } = {};
  const permit = limits.acquire(tunnelOf(who));
  assert.ok(permit instanceof Promise, 'it waits');
  permit.then(
    (opened) => {
      seen.permit = opened;
    },
    (error) => {
      assert.ok(error instanceof ProxyError);
      seen.code = error.code;
      seen.error = error;
    },
  );
  return seen;
}
const waitingOf = async (limits: Limits): Promise<number | undefined> => {
  const [state] = await limits.describe();
  return state?.kind === 'tunnels' ? state.waiting : undefined;
};

test('waits until a tunnel closes, first come first served', async () => {
  const { clock, limits } = start({ total: 1 });
  const first = openNow(limits);
  const second = openLater(limits);
  const third = openLater(limits);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await clock.pass(1);
  assert.ok(second.permit);
  assert.equal(third.permit, undefined);
  second.permit[Symbol.dispose]();
  await clock.pass(1);
  assert.ok(third.permit);
  assert.equal(clock.pending, 0);
});

test('refuses after the wait: 503 for the whole proxy, 429 for one client or user', async () => {
  const { clock, limits } = start({ total: 3, client: 1, user: 1, wait: '2s' });
  openNow(limits, { client: '192.0.2.1', user: 'alice' });
  const sameClient = openLater(limits, { client: '192.0.2.1', user: 'bob' });
  const sameUser = openLater(limits, { client: '192.0.2.2', user: 'alice' });
  openNow(limits, { client: '192.0.2.3', user: 'carol' });
  openNow(limits, { client: '192.0.2.4', user: 'dave' });
  const anyone = openLater(limits, { client: '192.0.2.5', user: 'eve' });
  await clock.pass(1_999);
  assert.deepEqual([sameClient.code, sameUser.code, anyone.code], [undefined, undefined, undefined]);
  await clock.pass(1);
  assert.equal(anyone.code, 'at_capacity');
  assert.equal(anyone.error?.clientDetail, 'limit "tunnels total" allows 3 open tunnels');
  assert.deepEqual(anyone.error?.headers[0], ['Retry-After', '2']);
  assert.equal(clock.pending, 0);
});

test('names the limit of the client when that is the one that refuses', async () => {
  const { clock, limits } = start({ client: 1 });
  openNow(limits);
  const second = openLater(limits);
  await clock.pass(2_000);
  assert.equal(second.code, 'too_many_tunnels');
  assert.equal(second.error?.clientDetail, 'limit "tunnels client" allows 1 open tunnel for one client');
});

test('a request that waits for the limit of its user holds up no other', async () => {
  const { clock, limits } = start({ total: 2, client: 1 });
  openNow(limits, { client: '192.0.2.1' });
  const own = openLater(limits, { client: '192.0.2.1' });
  const other = openNow(limits, { client: '192.0.2.2' });
  const third = openLater(limits, { client: '192.0.2.3' });
  other[Symbol.dispose]();
  await clock.pass(1);
  assert.ok(third.permit);
  assert.equal(own.permit, undefined);
});

test('a client that goes away, or is refused at once, leaves no waiter behind', async () => {
  const { clock, limits } = start({ total: 1 });
  openNow(limits);
  const gone = new AbortController();
  const waiting = openLater(limits, { signal: gone.signal });
  assert.equal(await waitingOf(limits), 1);
  gone.abort(new ProxyError('client_gone', 'test'));
  await clock.pass(1);
  assert.equal(waiting.code, 'client_gone');
  assert.equal(await waitingOf(limits), 0);
  assert.equal(clock.pending, 0);

  limits.update(limitsSchema.parse({ tunnels: { total: 1, wait: 0 } }));
  assert.throws(() => void limits.acquire(tunnelOf()), /at_capacity/);
});

test('the queue is bounded, and one client has at most a quarter of it', () => {
  const { limits } = start({ total: 1, queue: 8 });
  openNow(limits);
  openLater(limits, { client: '192.0.2.1' });
  openLater(limits, { client: '192.0.2.1' });
  assert.throws(() => void limits.acquire(tunnelOf({ client: '192.0.2.1' })), /at_capacity/);
  for (const last of [2, 2, 3, 3, 4, 4]) openLater(limits, { client: `192.0.2.${last}` });
  assert.throws(() => void limits.acquire(tunnelOf({ client: '192.0.2.5' })), /at_capacity/);
});

test('plain requests are not counted as tunnels, but a WebSocket is', () => {
  const { limits } = start({ total: 1, wait: 0 });
  openNow(limits);
  const { request, principal } = tunnelOf();
  const plain = {
    ...request,
    kind: 'forward',
    method: 'GET',
    url: 'http://www.example.com/',
    path: '/',
    body: undefined,
  } as const;
  assert.ok(limits.acquire({ principal, request: plain }));
  const upgrade = { ...plain, headers: [['Upgrade', 'websocket']] } as const;
  assert.throws(() => void limits.acquire({ principal, request: upgrade }), /at_capacity/);
});

test('a larger limit on reload admits the request that waits', async () => {
  const { clock, limits } = start({ total: 1 });
  openNow(limits);
  const second = openLater(limits);
  limits.update(limitsSchema.parse({ tunnels: { total: 2 } }));
  await clock.pass(1);
  assert.ok(second.permit);
});
