import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { type SignalOptions, untilStopped } from './signals.ts';

/** A proxy with open requests that stops when the test says so. */
function stage(open: number, echoes: SignalOptions['echoes'] = 'none') {
  const source = new EventEmitter();
  const clock = new ManualClock();
  const told: string[] = [];
  const closes: number[] = [];
  let reloads = 0;
  let finish: (cut: number) => void = () => {};
  const stopped = untilStopped({
    proxy: Promise.resolve({
      open,
      close: ({ drainMs }) => {
        closes.push(drainMs);
        return new Promise((resolve) => {
          finish = (cut) => resolve({ cut });
        });
      },
    }),
    drainMs: () => 30_000,
    reload: () => {
      reloads++;
    },
    tell: (line) => told.push(line),
    source,
    clock,
    echoes,
  });
  return { source, clock, told, closes, stopped, reloads: () => reloads, finish: (cut: number) => finish(cut) };
}

test('the first signal drains, says how many are open, and leaves no listener behind', async () => {
  const { source, clock, told, closes, stopped, finish } = stage(2);
  source.emit('SIGTERM');
  await clock.pass(0);
  assert.deepEqual(closes, [30_000]);
  assert.deepEqual(told, ['stopping: 2 open requests have up to 30 s to finish; a second signal cuts at once']);
  finish(1);
  assert.equal(await stopped, 1);
  assert.deepEqual(source.eventNames(), []);
});

test('with nothing open there is nothing to say', async () => {
  const { source, clock, told, stopped, finish } = stage(0);
  source.emit('SIGINT');
  await clock.pass(0);
  finish(0);
  assert.equal(await stopped, 0);
  assert.deepEqual(told, []);
});

test('a second signal cuts at once, and what hangs all the same is not waited for', async () => {
  const { source, clock, closes, stopped } = stage(3);
  source.emit('SIGTERM');
  source.emit('SIGINT');
  await clock.pass(1000);
  assert.deepEqual(closes, [30_000, 0]);
  assert.equal(await stopped, 3);
});

test('under npm the echo of one Ctrl-C is no second one', async () => {
  const { source, clock, closes } = stage(3, 'npm');
  source.emit('SIGINT');
  await clock.pass(5);
  source.emit('SIGINT');
  await clock.pass(200);
  assert.deepEqual(closes, [30_000]);
  source.emit('SIGINT');
  await clock.pass(0);
  assert.deepEqual(closes, [30_000, 0]);
});

test('SIGHUP reloads and stops nothing', () => {
  const { source, closes, reloads } = stage(1);
  source.emit('SIGHUP');
  assert.deepEqual([closes, reloads()], [[], 1]);
});

test('a signal during a start that fails stops the wait', async () => {
  const source = new EventEmitter();
  const stopped = untilStopped({
    proxy: Promise.reject(new Error('busy')),
    drainMs: () => 30_000,
    reload: () => {},
    tell: () => {},
    source,
    clock: new ManualClock(),
    echoes: 'none',
  });
  source.emit('SIGTERM');
  assert.equal(await stopped, 0);
});
