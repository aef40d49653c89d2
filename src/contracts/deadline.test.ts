import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Stop } from '../util/stop.ts';
import { awaitDecision, unlessAborted } from './deadline.ts';
import { ProxyError } from './failure.ts';

const NEVER = new Promise<string>(() => undefined);

test('who never decides has failed after a minute, and not before', async () => {
  const clock = new ManualClock();
  const late = awaitDecision(NEVER, new Stop(), clock).catch((error: unknown) => error);
  clock.advance(59_999);
  const soon = await Promise.race([late, Promise.resolve('waits')]);
  assert.equal(soon, 'waits');
  clock.advance(1);
  const error = await late;
  assert.ok(error instanceof ProxyError);
  assert.equal(error.code, 'hook_failed');
});

test('a decision in time is passed on, and so is the end of its request; no timer is left', async () => {
  const clock = new ManualClock();
  assert.equal(await awaitDecision(Promise.resolve('yes'), new Stop(), clock), 'yes');
  const failed = new Error('of the hook');
  await assert.rejects(awaitDecision(Promise.reject(failed), new Stop(), clock), (error) => error === failed);
  const stop = new Stop();
  const reason = new ProxyError('client_gone', 'test');
  const waiting = awaitDecision(NEVER, stop, clock);
  stop.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  assert.equal(clock.pending, 0);
});

test('what fails after its request has ended is handled, so that it does not end the process', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  const stop = new Stop();
  const reason = new ProxyError('client_gone', 'test');
  stop.abort(reason);
  const late = Promise.withResolvers<string>();
  await assert.rejects(unlessAborted(late.promise, stop), (error) => error === reason);
  const decision = Promise.withResolvers<string>();
  await assert.rejects(awaitDecision(decision.promise, stop, new ManualClock()), (error) => error === reason);
  late.reject(new Error('too late'));
  decision.reject(new Error('too late as well'));
  await nextTurn();
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
});
