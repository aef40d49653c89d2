import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { decided } from './deadline.ts';
import { ProxyError } from './failure.ts';
import { Stop } from './stop.ts';

const NEVER = new Promise<string>(() => undefined);

test('who never decides has failed after a minute, and not before', async () => {
  const clock = new ManualClock();
  const late = decided(NEVER, new Stop(), clock).catch((error: unknown) => error);
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
  assert.equal(await decided(Promise.resolve('yes'), new Stop(), clock), 'yes');
  const failed = new Error('of the hook');
  await assert.rejects(decided(Promise.reject(failed), new Stop(), clock), (error) => error === failed);
  const stop = new Stop();
  const reason = new ProxyError('client_gone', 'test');
  const waiting = decided(NEVER, stop, clock);
  stop.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  assert.equal(clock.pending, 0);
});
