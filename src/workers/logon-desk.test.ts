import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { KeptLogons } from './kept-logons.ts';
import { LogonDesk } from './logon-desk.ts';

const never = new AbortController().signal;

/** A desk and two workers. */
function house() {
  const clock = new ManualClock();
  const desk = new LogonDesk(clock);
  const worker = () => {
    const kept: KeptLogons = new KeptLogons(clock, (ask) => branch.hear(structuredClone(ask)));
    const branch = desk.branch((answer) => kept.hear(structuredClone(answer)));
    return { logons: kept.of('proxy me'), branch };
  };
  return { clock, one: worker(), other: worker() };
}

test('a secret that one worker saw rejected is sent by none', async () => {
  const { one, other } = house();
  const turn = await one.logons.turn(never);
  assert.ok(turn !== 'rejected' && turn.kind === 'alone');
  const waiting = other.logons.turn(never);
  turn.rejected();
  assert.equal(await waiting, 'rejected');
  assert.deepEqual([one.logons.isRejected, other.logons.isRejected], [true, true]);
  assert.equal(await one.logons.turn(never), 'rejected');
});

test('a secret that was accepted vouches for the next logons of both, and a rejection ends that', async () => {
  const { one, other } = house();
  const first = await one.logons.turn(never);
  assert.ok(first !== 'rejected');
  first.accepted();
  const second = await one.logons.turn(never);
  const third = await other.logons.turn(never);
  assert.ok(second !== 'rejected' && third !== 'rejected');
  assert.deepEqual([second.kind, third.kind], ['trusted', 'trusted']);
  second.rejected();
  assert.equal(await other.logons.turn(never), 'rejected');
});

test('a worker that dies, and a client that goes, leave their turn to the next', async () => {
  const { one, other } = house();
  await one.logons.turn(never);
  const gone = new AbortController();
  const left = other.logons.turn(gone.signal);
  gone.abort(new Error('the client has gone'));
  await assert.rejects(left, /the client has gone/);
  const waiting = other.logons.turn(never);
  one.branch[Symbol.dispose]();
  const turn = await waiting;
  assert.ok(turn !== 'rejected' && turn.kind === 'alone');
  assert.equal(turn.hasWaited, true);
});
