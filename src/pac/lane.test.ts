import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { Lane } from './lane.ts';

test(
  'the first run goes on when those behind it are taken back, whether it has begun or not',
  leavesNothing(async () => {
    const { promise: ended, resolve, reject } = Promise.withResolvers<string>();
    const lane = new Lane<string>('UTC', { ended: (job) => resolve(job), lost: (_lane, _left, why) => reject(why) });
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
    lane.teach(1, 'function FindProxyForURL() { return "DIRECT"; }');
    // The thread is being started: it has read none of this when the second one is taken back.
    lane.give('first', run, performance.now());
    lane.give('second', run, performance.now());
    assert.deepEqual(lane.takeBack(), ['second']);
    assert.equal(await ended, 'first');
    lane.give('third', run, performance.now());
    assert.equal(lane.length, 1);
    await lane.end();
  }),
);
