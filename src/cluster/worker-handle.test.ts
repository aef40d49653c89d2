import assert from 'node:assert/strict';
import { ChildProcess } from 'node:child_process';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { resolveOptions } from '../config/schema.ts';
import { LocalNonceCounter } from '../identity/nonce-counter.ts';
import { IpcLimitsServer } from '../limits/shared/ipc-server.ts';
import { LiveRequests } from './live-requests.ts';
import { LoginServer } from './login-server.ts';
import { WorkerHandle } from './worker-handle.ts';

/** A worker without a process: the test says what Node reports of it. */
function worker() {
  const clock = new ManualClock();
  const child = new ChildProcess();
  const handle = new WorkerHandle({
    child,
    limits: new IpcLimitsServer(resolveOptions().limits, { clock, observe: () => undefined }),
    logins: new LoginServer(clock),
    nonces: new LocalNonceCounter(),
    live: new LiveRequests(clock),
    clock,
    rotateLog: () => Promise.reject(new Error('no log is full')),
    notice: () => undefined,
  });
  return { clock, child, handle };
}

const drained = { finished: 1, aborted: 0, longestMs: 5 };

test('a response counts that is read after Node has reported the end of the worker', async () => {
  const { clock, child, handle } = worker();
  const closed = handle.close(30_000);
  child.emit('exit', 0, null);
  await nextTurn();
  child.emit('message', { type: 'response', requestId: 1, value: 0, drained });
  assert.deepEqual(await closed, drained);
  assert.equal(handle.isGone, false);
  child.emit('close', 0, null);
  assert.equal(await handle.gone, 'exit code 0');
  assert.deepEqual([handle.isGone, clock.pending], [true, 0]);
});

test('a worker that has ended without a response fails the request, also when its channel stays open', async () => {
  const { clock, child, handle } = worker();
  const failed = assert.rejects(handle.close(30_000), /^Error: worker 0 ended: SIGKILL$/);
  child.emit('exit', null, 'SIGKILL');
  await clock.pass(1_000);
  await failed;
  assert.equal(await handle.gone, 'SIGKILL');
});
