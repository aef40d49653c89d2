import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { Logons, type Turn } from './logons.ts';

const never = new AbortController().signal;

/** What became of somebody who asked for a turn. */
class Asker {
  turn: Turn | 'rejected' | 'waiting' = 'waiting';
  failure: unknown;

  constructor(logons: Logons, signal: AbortSignal = never) {
    logons.turn(signal).then(
      (turn) => {
        this.turn = turn;
      },
      (error) => {
        this.failure = error;
      },
    );
  }

  get at(): string {
    return typeof this.turn === 'string' ? this.turn : this.turn.kind;
  }

  get given(): Turn {
    return typeof this.turn === 'string' ? assert.fail(this.turn) : this.turn;
  }
}

async function crowd(logons: Logons, size: number): Promise<Asker[]> {
  const askers = Array.from({ length: size }, () => new Asker(logons));
  await nextTurn();
  return askers;
}
const states = (askers: readonly Asker[]): string[] => askers.map(({ at }) => at);

test('one goes alone; when it is let in, everybody else goes at once', async () => {
  const logons = new Logons(new ManualClock());
  const askers = await crowd(logons, 4);
  assert.deepEqual(states(askers), ['alone', 'waiting', 'waiting', 'waiting']);
  askers[0]?.given.accepted();
  await nextTurn();
  assert.deepEqual(states(askers), ['alone', 'trusted', 'trusted', 'trusted']);
  assert.deepEqual(
    askers.map(({ given }) => given.hasWaited),
    [false, true, true, true],
  );
});

test('when it is rejected nobody goes any more, and a later yes to an older message changes nothing', async () => {
  const logons = new Logons(new ManualClock());
  const askers = await crowd(logons, 3);
  askers[0]?.given.rejected();
  await nextTurn();
  assert.deepEqual(states(askers), ['alone', 'rejected', 'rejected']);
  askers[0]?.given.accepted();
  assert.deepEqual(states(await crowd(logons, 1)), ['rejected']);
});

test('when it comes to nothing, the next one goes', async () => {
  const logons = new Logons(new ManualClock());
  const askers = await crowd(logons, 3);
  askers[0]?.given[Symbol.dispose]();
  await nextTurn();
  assert.deepEqual(states(askers), ['alone', 'alone', 'waiting']);
  askers[0]?.given[Symbol.dispose]();
  await nextTurn();
  assert.deepEqual(states(askers), ['alone', 'alone', 'waiting'], 'a turn that is over twice lets nobody else go');
});

test('who waits does so for 10 s, and for 1 s where the secret was right before', async () => {
  const clock = new ManualClock();
  const logons = new Logons(clock);
  const askers = await crowd(logons, 3);
  await clock.pass(9_999);
  assert.deepEqual(states(askers), ['alone', 'waiting', 'waiting']);
  await clock.pass(1);
  assert.deepEqual(states(askers), ['alone', 'alone', 'waiting']);
  askers[1]?.given.accepted();
  await nextTurn();
  assert.deepEqual(states(askers), ['alone', 'alone', 'trusted']);
  await clock.pass(60_000);
  const later = await crowd(logons, 2);
  assert.deepEqual(states(later), ['alone', 'waiting']);
  await clock.pass(1_000);
  assert.deepEqual(states(later), ['alone', 'alone']);
  assert.equal(clock.pending, 0);
});

test('whoever goes away while it waits leaves no timer and takes nobody’s turn', async () => {
  const clock = new ManualClock();
  const logons = new Logons(clock);
  const [first] = await crowd(logons, 1);
  const leaving = new AbortController();
  const gone = new Asker(logons, leaving.signal);
  await nextTurn();
  leaving.abort('gone');
  await nextTurn();
  assert.deepEqual([gone.at, gone.failure, clock.pending], ['waiting', 'gone', 0]);
  first?.given[Symbol.dispose]();
  assert.deepEqual(states(await crowd(logons, 1)), ['alone']);
});
