import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../core/failure.ts';
import type { Credentials } from './basic.ts';
import type { PasswordHash } from './password-hash.ts';
import { ACCEPTED_MAX, REFUSED_MAX, REMEMBERED_MS, remembering } from './remembering.ts';
import { verifyUsers } from './users.ts';
import { RUNNING_MAX, WAITING_MAX, WorkQueue } from './work-queue.ts';

describe('a comparison', () => {
  const compared: string[] = [];
  const hash = (name: string, costUs: number): PasswordHash => ({
    costUs,
    async verify(password) {
      compared.push(name);
      return password === `${name}'s`;
    },
  });
  const users = new Map([
    ['cheap', hash('cheap', 1)],
    ['dear', hash('dear', 9000)],
    ['dear2', hash('dear2', 9000)],
  ]);
  const verify = verifyUsers(users, new WorkQueue());
  const comparisons = async (username: string, password: string) => {
    compared.length = 0;
    const answer = await verify({ username, password });
    return [answer?.id ?? null, ...compared];
  };
  test('that succeeds is the only one', async () => {
    assert.deepEqual(await comparisons('cheap', "cheap's"), ['cheap', 'cheap']);
    assert.deepEqual(await comparisons('dear2', "dear2's"), ['dear2', 'dear2']);
  });
  test('that fails costs one of each kind, for names that nobody has too', async () => {
    assert.deepEqual(await comparisons('nobody', 'x'), [null, 'cheap', 'dear2']);
    assert.deepEqual(await comparisons('cheap', 'x'), [null, 'cheap', 'dear2']);
    assert.deepEqual(await comparisons('dear', 'x'), [null, 'dear', 'cheap']);
    assert.deepEqual(await comparisons('dear2', 'x'), [null, 'dear2', 'cheap']);
  });
  test('with the hash of somebody else lets nobody in', async () => {
    assert.deepEqual(await comparisons('nobody', "dear's"), [null, 'cheap', 'dear2']);
    assert.deepEqual(await comparisons('cheap', "dear2's"), [null, 'cheap', 'dear2']);
    assert.deepEqual(await comparisons('__proto__', 'x'), [null, 'cheap', 'dear2']);
  });
});

describe('what is remembered', () => {
  function counting() {
    const asked: string[] = [];
    const clock = new ManualClock();
    const verify = remembering(async ({ username, password }: Credentials) => {
      asked.push(`${username}:${password}`);
      await nextTurn();
      return password === 'right' ? { id: username } : null;
    }, clock);
    return { asked, clock, verify };
  }
  test('is asked for once a minute', async () => {
    const { asked, clock, verify } = counting();
    for (let turn = 0; turn < 3; turn++) {
      assert.deepEqual(await verify({ username: 'a', password: 'right' }), { id: 'a' });
      assert.equal(await verify({ username: 'a', password: 'wrong' }), null);
    }
    assert.deepEqual(asked, ['a:right', 'a:wrong']);
    clock.advance(REMEMBERED_MS - 1);
    await verify({ username: 'a', password: 'right' });
    assert.equal(asked.length, 2);
    clock.advance(1);
    await verify({ username: 'a', password: 'right' });
    assert.deepEqual(asked, ['a:right', 'a:wrong', 'a:right']);
  });
  test('belongs to one pair of name and password', async () => {
    const { verify } = counting();
    assert.ok(await verify({ username: 'a', password: 'right' }));
    assert.equal(await verify({ username: 'a', password: 'righ' }), null);
    assert.equal(await verify({ username: 'ar', password: 'ight' }), null);
    assert.deepEqual(await verify({ username: 'b', password: 'right' }), { id: 'b' });
  });
  test('is shared by those who ask at the same time', async () => {
    const { asked, verify } = counting();
    const answers = await Promise.all(Array.from({ length: 100 }, () => verify({ username: 'a', password: 'right' })));
    assert.ok(answers.every((answer) => answer?.id === 'a'));
    assert.equal(asked.length, 1);
  });
  test('is bounded, and wrong guesses do not push out the right answers', async () => {
    const { asked, verify } = counting();
    await verify({ username: 'a', password: 'right' });
    for (let guess = 0; guess <= REFUSED_MAX; guess++) await verify({ username: 'a', password: `guess ${guess}` });
    const before = asked.length;
    await verify({ username: 'a', password: 'right' });
    await verify({ username: 'a', password: `guess ${REFUSED_MAX}` });
    assert.equal(asked.length, before);
    await verify({ username: 'a', password: 'guess 0' });
    assert.equal(asked.length, before + 1);
    assert.ok(ACCEPTED_MAX >= 1000);
  });
  test('is no failure to answer', async () => {
    let calls = 0;
    const verify = remembering(async () => {
      calls++;
      throw new ProxyError('at_capacity', 'test');
    }, new ManualClock());
    for (let turn = 1; turn <= 2; turn++) {
      await assert.rejects(async () => verify({ username: 'a', password: 'b' }));
      assert.equal(calls, turn);
    }
  });
});

describe('the queue of comparisons', () => {
  test('runs a few at a time, in order, and refuses what would wait too long', async () => {
    const queue = new WorkQueue();
    const started: number[] = [];
    const finish: (() => void)[] = [];
    const jobs = Array.from({ length: RUNNING_MAX + WAITING_MAX }, (_, at) =>
      queue.run(() => {
        started.push(at);
        const { promise, resolve } = Promise.withResolvers<void>();
        finish[at] = resolve;
        return promise;
      }),
    );
    await nextTurn();
    assert.equal(started.length, RUNNING_MAX);
    await assert.rejects(
      queue.run(async () => {}),
      (error) => error instanceof ProxyError && error.code === 'at_capacity' && error.fields[0]?.[0] === 'Retry-After',
    );
    for (let at = 0; at < jobs.length; at++) {
      finish[at]?.();
      await nextTurn();
      assert.ok(started.length <= at + 1 + RUNNING_MAX);
    }
    await Promise.all(jobs);
    assert.deepEqual(started, [...jobs.keys()]);
    assert.equal(await queue.run(async () => 'free again'), 'free again');
  });
  test('goes on after a failure', async () => {
    const queue = new WorkQueue();
    for (let turn = 0; turn < RUNNING_MAX * 2; turn++) {
      await assert.rejects(queue.run(() => Promise.reject(new Error('test'))));
    }
    assert.equal(await queue.run(async () => 1), 1);
  });
});
