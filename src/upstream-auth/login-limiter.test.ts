import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { LoginAttempt, LoginDenial, QuestionSupport } from './login-attempt.ts';
import type { LocalLoginLimiter } from './login-limiter.ts';
import { LoginLimiterRegistry } from './login-limiter-registry.ts';

const never = new AbortController().signal;

/** What became of a request that asked for permission to log in. */
class Asker {
  turn: LoginAttempt | LoginDenial | 'waiting' = 'waiting';
  failure: unknown;

  constructor(limiter: LocalLoginLimiter, signal: AbortSignal = never, askable: QuestionSupport = 'can-ask') {
    limiter.acquire(signal, askable).then(
      (turn) => {
        this.turn = turn;
      },
      (error) => {
        this.failure = error;
      },
    );
  }

  get at(): string {
    if (typeof this.turn === 'string') return this.turn;
    if ('denied' in this.turn) return this.turn.denied;
    return this.turn.asksProxyFirst ? `${this.turn.kind}, asks the proxy` : this.turn.kind;
  }

  get given(): LoginAttempt {
    return typeof this.turn === 'string' || 'denied' in this.turn ? assert.fail(this.at) : this.turn;
  }
}

async function crowd(limiter: LocalLoginLimiter, size: number, askable: QuestionSupport = 'can-ask'): Promise<Asker[]> {
  const askers = Array.from({ length: size }, () => new Asker(limiter, never, askable));
  await nextTurn();
  return askers;
}
const atProxy = (clock: ManualClock): LocalLoginLimiter =>
  new LoginLimiterRegistry(clock).limiterFor({ proxy: 'p:1', secret: 'me' });
const states = (askers: readonly Asker[]): string[] => askers.map(({ at }) => at);

test('one login goes first; when it is accepted, all others go at once', async () => {
  const limiter = atProxy(new ManualClock());
  const askers = await crowd(limiter, 4);
  assert.deepEqual(states(askers), ['exclusive', 'waiting', 'waiting', 'waiting']);
  askers[0]?.given.accepted();
  await nextTurn();
  assert.deepEqual(states(askers), ['exclusive', 'trusted', 'trusted', 'trusted']);
  assert.deepEqual(
    askers.map(({ given }) => given.hasWaited),
    [false, true, true, true],
  );
});

test('after a rejection no login goes any more, and a later acceptance of an older proof changes nothing', async () => {
  const limiter = atProxy(new ManualClock());
  const askers = await crowd(limiter, 3);
  askers[0]?.given.rejected();
  await nextTurn();
  assert.deepEqual(states(askers), ['exclusive', 'rejected', 'rejected']);
  askers[0]?.given.accepted();
  assert.deepEqual(states(await crowd(limiter, 1)), ['rejected']);
});

test('when no proof was sent, the next login goes', async () => {
  const limiter = atProxy(new ManualClock());
  const askers = await crowd(limiter, 3);
  askers[0]?.given[Symbol.dispose]();
  await nextTurn();
  assert.deepEqual(states(askers), ['exclusive', 'exclusive', 'waiting']);
  askers[0]?.given[Symbol.dispose]();
  await nextTurn();
  assert.deepEqual(
    states(askers),
    ['exclusive', 'exclusive', 'waiting'],
    'an attempt that is disposed twice lets no other go',
  );
});

const MINUTE = 60_000;

test('after 1 s the next one asks the proxy itself, and no third proof goes before one of the two is over', async () => {
  const clock = new ManualClock();
  const limiter = atProxy(clock);
  const askers = await crowd(limiter, 4);
  await clock.pass(999);
  assert.deepEqual(states(askers), ['exclusive', 'waiting', 'waiting', 'waiting']);
  await clock.pass(1);
  assert.deepEqual(states(askers), ['exclusive', 'exclusive, asks the proxy', 'waiting', 'waiting']);
  await clock.pass(MINUTE);
  assert.deepEqual(states(askers).slice(2), ['waiting', 'waiting'], 'a slow refusal costs two wrong passwords');
  askers[1]?.given.accepted();
  await nextTurn();
  assert.deepEqual(states(askers).slice(2), ['trusted', 'trusted']);
  assert.equal(clock.pending, 0);
});

test('where the proxy cannot be asked, a second proof goes after 1 s; and one more each second once it was right', async () => {
  const clock = new ManualClock();
  const limiter = atProxy(clock);
  const askers = await crowd(limiter, 3, 'cannot-ask');
  await clock.pass(MINUTE);
  assert.deepEqual(states(askers), ['exclusive', 'exclusive', 'waiting']);
  askers[1]?.given.accepted();
  await nextTurn();
  assert.deepEqual(states(askers).slice(2), ['trusted']);
  askers[0]?.given[Symbol.dispose]();
  await clock.pass(MINUTE);
  const later = await crowd(limiter, 3, 'cannot-ask');
  await clock.pass(2_000);
  assert.deepEqual(states(later), ['exclusive', 'exclusive', 'exclusive']);
});

test('a rejected secret is tried twice more by itself, after 30 min and an hour, and accepted it counts anew', async () => {
  const clock = new ManualClock();
  const limiter = atProxy(clock);
  for (const retryMs of [30 * MINUTE, 60 * MINUTE, undefined]) {
    const [one] = await crowd(limiter, 1);
    assert.match(one?.at ?? '', /^exclusive/);
    one?.given.rejected();
    const [none] = await crowd(limiter, 1);
    assert.deepEqual(none?.turn, { denied: 'rejected', retryMs });
    assert.equal(limiter.isRejected, true);
    await clock.pass(retryMs ?? 1_000 * MINUTE);
  }
  assert.deepEqual(states(await crowd(limiter, 1)), ['rejected']);
});

test('a proof without a response makes the next one ask the proxy itself; silence there holds the secret back, twice at most', async () => {
  const clock = new ManualClock();
  const limiter = atProxy(clock);
  const [first] = await crowd(limiter, 1);
  assert.equal(first?.given.doubt('silence'), 'again');
  first?.given[Symbol.dispose]();
  for (const retryMs of [30 * MINUTE, 60 * MINUTE, undefined]) {
    const [next] = await crowd(limiter, 1);
    assert.equal(next?.given.isInDoubt, true);
    assert.equal(next?.given.doubt('question-silence'), 'held');
    next?.given[Symbol.dispose]();
    const [held] = await crowd(limiter, 1);
    assert.deepEqual(held?.turn, { denied: 'held', retryMs });
    assert.equal(limiter.isRejected, false);
    await clock.pass(retryMs ?? 0);
  }
});

test('statuses that a target may have caused hold back a secret that was never right for 15 s, then twice as long', async () => {
  const clock = new ManualClock();
  const limiter = atProxy(clock);
  const [first] = await crowd(limiter, 1);
  assert.equal(first?.given.doubt('status'), 'again');
  first?.given[Symbol.dispose]();
  for (const retryMs of [
    15_000,
    30_000,
    MINUTE,
    2 * MINUTE,
    4 * MINUTE,
    8 * MINUTE,
    16 * MINUTE,
    30 * MINUTE,
    30 * MINUTE,
  ]) {
    const [next] = await crowd(limiter, 1);
    assert.equal(next?.given.doubt('status'), 'held');
    next?.given[Symbol.dispose]();
    assert.deepEqual((await crowd(limiter, 1))[0]?.turn, { denied: 'held', retryMs });
    await clock.pass(retryMs);
    assert.deepEqual(
      states(await crowdThatLeaves(limiter)),
      ['exclusive'],
      'the request itself is tried, not a question',
    );
  }
});

/** One that takes a turn and gives it back. */
async function crowdThatLeaves(limiter: LocalLoginLimiter): Promise<Asker[]> {
  const askers = await crowd(limiter, 1);
  askers[0]?.given[Symbol.dispose]();
  return askers;
}

test('no target can hold back a secret that was right before, by a status or by silence', async () => {
  const clock = new ManualClock();
  const limiter = atProxy(clock);
  const [first] = await crowd(limiter, 1);
  first?.given.accepted();
  for (const doubt of ['silence', 'status'] as const) {
    await clock.pass(MINUTE);
    for (let n = 0; n < 5; n++) {
      const [later] = await crowd(limiter, 1);
      assert.equal(later?.given.doubt(doubt), 'again');
      later?.given[Symbol.dispose]();
    }
  }
  const [asking] = await crowd(limiter, 1);
  assert.equal(asking?.at, 'exclusive, asks the proxy');
  assert.equal(asking?.given.doubt('question-status'), 'held', 'the proxy itself can');
});

test('a trusted secret whose proof is not answered, or three times unclearly, is trusted no more', async () => {
  for (const doubts of [['silence'], ['status', 'status', 'status']] as const) {
    const limiter = atProxy(new ManualClock());
    const [first] = await crowd(limiter, 1);
    first?.given.accepted();
    for (const doubt of doubts) {
      const [one] = await crowd(limiter, 1);
      assert.equal(one?.at, 'trusted');
      one?.given.doubt(doubt);
    }
    assert.deepEqual(states(await crowd(limiter, 2)), ['exclusive, asks the proxy', 'waiting']);
  }
});

test('proxies that leave a secret in doubt do not keep it from others', async () => {
  const registry = new LoginLimiterRegistry(new ManualClock());
  for (const port of [1, 2, 3]) {
    const limiter = registry.limiterFor({ proxy: `p:${port}`, secret: 'me' });
    for (const doubt of ['silence', 'question-silence'] as const) {
      const [one] = await crowd(limiter, 1);
      one?.given.doubt(doubt);
      one?.given[Symbol.dispose]();
    }
    assert.deepEqual(states(await crowd(limiter, 1)), ['held']);
  }
});

test('two proxies that reject a secret keep it from all others, but not from one that accepts it', async () => {
  const registry = new LoginLimiterRegistry(new ManualClock());
  const at = (proxy: string, secret = 'me') => registry.limiterFor({ proxy, secret });
  const [known] = await crowd(at('good:1'), 1);
  known?.given.accepted();
  for (const port of [1, 2]) {
    const [one] = await crowd(at(`p:${port}`), 1);
    one?.given.rejected();
    assert.deepEqual(states(await crowd(at(`p:${port}`), 1)), ['rejected']);
  }
  for (const port of [3, 4, 5]) assert.deepEqual(states(await crowd(at(`p:${port}`), 1)), ['rejected-elsewhere']);
  assert.deepEqual(states(await crowd(at('good:1'), 1)), ['trusted']);
  assert.deepEqual(states(await crowd(at('p:3', 'another'), 1)), ['exclusive']);
});

test('a secret that no proxy has accepted goes to one proxy at a time', async () => {
  const registry = new LoginLimiterRegistry(new ManualClock());
  const [first] = await crowd(registry.limiterFor({ proxy: 'p:1', secret: 'me' }), 1);
  const [other] = await crowd(registry.limiterFor({ proxy: 'p:2', secret: 'me' }), 1);
  assert.deepEqual([first?.at, other?.at], ['exclusive', 'waiting']);
  first?.given.accepted();
  await nextTurn();
  assert.equal(other?.at, 'exclusive');
});

test('a request that is aborted while it waits leaves no timer and keeps no other from logging in', async () => {
  const clock = new ManualClock();
  const limiter = atProxy(clock);
  const [first] = await crowd(limiter, 1);
  const leaving = new AbortController();
  const gone = new Asker(limiter, leaving.signal);
  await nextTurn();
  leaving.abort('gone');
  await nextTurn();
  assert.deepEqual([gone.at, gone.failure, clock.pending], ['waiting', 'gone', 0]);
  first?.given[Symbol.dispose]();
  assert.deepEqual(states(await crowd(limiter, 1)), ['exclusive']);
});
