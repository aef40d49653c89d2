import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { DelayedDrain } from './delayed-drain.ts';

function stage(delayMs: number) {
  const clock = new ManualClock();
  const said: string[] = [];
  const drain = new DelayedDrain({
    clock,
    delayMs: () => delayMs,
    announce: (ms) => said.push(`announced ${ms}`),
  });
  const proxy = {
    async close({ drainMs }: { readonly drainMs: number }) {
      said.push(`closed within ${drainMs}`);
      return { finished: 0, aborted: 0, longestMs: 0 };
    },
  };
  return { clock, said, close: (drainMs: number) => drain.close(proxy, { drainMs }) };
}

test('the stop is announced at once, and the proxy closes when the delay is over', async () => {
  const { clock, said, close } = stage(5_000);
  const closed = close(30_000);
  await clock.pass(4_999);
  assert.deepEqual(said, ['announced 5000']);
  await clock.pass(1);
  await closed;
  assert.deepEqual(said, ['announced 5000', 'closed within 30000']);
});

test('a second stop without a drain ends the delay', async () => {
  const { said, close } = stage(5_000);
  await Promise.all([close(30_000), close(0)]);
  assert.deepEqual(said, ['announced 5000', 'closed within 30000', 'closed within 0']);
});

test('a stop that follows a drain announces nothing again, and waits for the rest of the delay alone', async () => {
  const { clock, said, close } = stage(5_000);
  const first = close(30_000);
  await clock.pass(4_000);
  const second = close(30_000);
  await clock.pass(1_000);
  await Promise.all([first, second]);
  assert.deepEqual(said, ['announced 5000', 'closed within 30000', 'closed within 30000']);
});

test('without a delay the proxy closes at once', async () => {
  const { said, close } = stage(0);
  await close(30_000);
  assert.deepEqual(said, ['announced 0', 'closed within 30000']);
});
