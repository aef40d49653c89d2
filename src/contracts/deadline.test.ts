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
  const late = awaitDecision(NEVER, { signal: new Stop(), clock }, 'route').catch((error: unknown) => error);
  clock.advance(59_999);
  const soon = await Promise.race([late, Promise.resolve('waits')]);
  assert.equal(soon, 'waits');
  clock.advance(1);
  const error = await late;
  assert.ok(error instanceof ProxyError);
  assert.deepEqual([error.code, error.detail], ['hook_failed', 'route: no decision after 60000 ms']);
});

test('a decision in time is passed on, and so is the end of its request; no timer is left', async () => {
  const clock = new ManualClock();
  assert.equal(await awaitDecision(Promise.resolve('yes'), { signal: new Stop(), clock }, 'route'), 'yes');
  const failed = new Error('of the hook');
  await assert.rejects(
    awaitDecision(Promise.reject(failed), { signal: new Stop(), clock }, 'route'),
    (error) => error === failed,
  );
  const stop = new Stop();
  const reason = new ProxyError('client_gone', 'test');
  const waiting = awaitDecision(NEVER, { signal: stop, clock }, 'route');
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
  await assert.rejects(
    awaitDecision(decision.promise, { signal: stop, clock: new ManualClock() }, 'route'),
    (error) => error === reason,
  );
  late.reject(new Error('too late'));
  decision.reject(new Error('too late as well'));
  await nextTurn();
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
});
