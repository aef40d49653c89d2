import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { systemClock } from '../../util/clock.ts';
import { WorkerThread } from './worker-thread.ts';

test(
  'the first run goes on when those behind it are taken back, also when it has not begun',
  leavesNothing(async () => {
    const { promise: ended, resolve, reject } = Promise.withResolvers<string>();
    const thread = new WorkerThread<string>(systemClock, 'UTC', {
      ended: (job) => resolve(job),
      crashed: (_thread, _unfinished, why) => reject(why),
    });
    const run = {
      script: 1,
      url: 'http://a.test/',
      host: 'a.test',
      wallMs: 0,
      trace: 'lookups',
      untilMs: Number.POSITIVE_INFINITY,
      facts: new Map(),
      generation: 0,
    } as const;
    thread.sendScript(1, 'function FindProxyForURL() { return "DIRECT"; }');
    // The thread is still starting: it has read none of these messages when the second run is taken back.
    thread.submit('first', run);
    thread.submit('second', run);
    assert.deepEqual(thread.takeBack(), ['second']);
    assert.equal(await ended, 'first');
    thread.submit('third', run);
    assert.equal(thread.length, 1);
    await thread.end();
  }),
);
