import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { LoginClient } from './login-client.ts';
import { LoginServer } from './login-server.ts';

const never = new AbortController().signal;

/** A server and two workers. */
function setup() {
  const clock = new ManualClock();
  const server = new LoginServer(clock);
  const worker = () => {
    const client: LoginClient = new LoginClient(clock, (request) => session.receive(structuredClone(request)));
    const session = server.openSession((answer) => client.receive(structuredClone(answer)));
    return { logins: client.of({ proxy: 'proxy', secret: 'me' }), session };
  };
  return { clock, one: worker(), other: worker() };
}

test('a secret that was rejected in one worker is sent by no worker', async () => {
  const { one, other } = setup();
  const turn = await one.logins.acquire(never, 'can-ask');
  assert.ok(!('denied' in turn) && turn.kind === 'exclusive');
  const waiting = other.logins.acquire(never, 'can-ask');
  turn.rejected();
  assert.deepEqual(await waiting, { denied: 'rejected', retryMs: 1_800_000 });
  assert.deepEqual([one.logins.isRejected, other.logins.isRejected], [true, true]);
  assert.deepEqual(await one.logins.acquire(never, 'can-ask'), { denied: 'rejected', retryMs: 1_800_000 });
});

test('after a secret was accepted both workers log on without a turn, until it is rejected', async () => {
  const { one, other } = setup();
  const first = await one.logins.acquire(never, 'can-ask');
  assert.ok(!('denied' in first));
  first.accepted();
  const second = await one.logins.acquire(never, 'can-ask');
  const third = await other.logins.acquire(never, 'can-ask');
  assert.ok(!('denied' in second) && !('denied' in third));
  assert.deepEqual([second.kind, third.kind], ['trusted', 'trusted']);
  second.rejected();
  assert.deepEqual(await other.logins.acquire(never, 'can-ask'), { denied: 'rejected', retryMs: 1_800_000 });
});

test('a worker that dies, and a client that goes, leave their turn to the next request', async () => {
  const { one, other } = setup();
  await one.logins.acquire(never, 'can-ask');
  const gone = new AbortController();
  const left = other.logins.acquire(gone.signal, 'can-ask');
  gone.abort(new Error('the client has gone'));
  await assert.rejects(left, /the client has gone/);
  const waiting = other.logins.acquire(never, 'can-ask');
  one.session[Symbol.dispose]();
  const turn = await waiting;
  assert.ok(!('denied' in turn) && turn.kind === 'exclusive');
  assert.equal(turn.hasWaited, true);
});
