import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { reportText, type SignalOptions, waitForShutdown } from './signals.ts';

/** A proxy with open requests that stops when the test says so. */
function stage(open: number, echoes: SignalOptions['echoes'] = 'none', platform: NodeJS.Platform = 'linux') {
  const source = new EventEmitter();
  const clock = new ManualClock();
  const lines: string[] = [];
  const closes: number[] = [];
  let reloads = 0;
  let reopened = 0;
  let finish: (aborted: number) => void = () => {};
  const stopped = waitForShutdown({
    proxy: Promise.resolve({
      open,
      close: ({ drainMs }) => {
        closes.push(drainMs);
        return new Promise((resolve) => {
          finish = (aborted) => resolve({ finished: 1, aborted, longestMs: 1000 });
        });
      },
    }),
    drainMs: () => 30_000,
    reload: () => {
      reloads++;
    },
    reopenLog: () => {
      reopened++;
    },
    logger: { status: (line) => lines.push(line) },
    source,
    clock,
    echoes,
    platform,
  });
  return {
    source,
    clock,
    lines,
    closes,
    stopped,
    reloads: () => reloads,
    reopened: () => reopened,
    finish: (aborted: number) => finish(aborted),
  };
}

test('the first signal drains, reports how many requests are open, and leaves no listener behind', async () => {
  const { source, clock, lines, closes, stopped, finish } = stage(2);
  source.emit('SIGTERM');
  await clock.pass(0);
  assert.deepEqual(closes, [30_000]);
  assert.deepEqual(lines, ['stopping: 2 open requests have up to 30 s to finish; a second signal aborts them at once']);
  finish(1);
  assert.equal((await stopped).aborted, 1);
  assert.deepEqual(source.eventNames(), []);
});

test('with nothing open there is no message', async () => {
  const { source, clock, lines, stopped, finish } = stage(0);
  source.emit('SIGINT');
  await clock.pass(0);
  finish(0);
  assert.equal((await stopped).aborted, 0);
  assert.deepEqual(lines, []);
});

test('a second signal closes at once, and does not wait for what hangs', async () => {
  const { source, clock, closes, stopped } = stage(3);
  source.emit('SIGTERM');
  source.emit('SIGINT');
  await clock.pass(1000);
  assert.deepEqual(closes, [30_000, 0]);
  assert.equal((await stopped).aborted, 3);
});

test('under npm the echo of one Ctrl-C does not count as a second one', async () => {
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
  const stopped = waitForShutdown({
    proxy: Promise.reject(new Error('busy')),
    drainMs: () => 30_000,
    reload: () => {},
    reopenLog: () => {},
    logger: { status: () => {} },
    source,
    clock: new ManualClock(),
    echoes: 'none',
  });
  source.emit('SIGTERM');
  assert.equal((await stopped).aborted, 0);
});

test('SIGUSR2 opens the log anew, and the proxy goes on', async () => {
  const { source, clock, stopped, reopened, finish } = stage(0);
  source.emit('SIGUSR2');
  source.emit('SIGUSR2');
  assert.equal(reopened(), 2);
  source.emit('SIGTERM');
  await clock.pass(0);
  finish(0);
  assert.equal((await stopped).aborted, 0);
  assert.deepEqual(source.eventNames(), []);
});

test('the report says how many finished, how many were aborted, and how long the longest lasted', () => {
  assert.equal(reportText({ finished: 0, aborted: 0, longestMs: 0 }), undefined);
  assert.equal(
    reportText({ finished: 3, aborted: 1, longestMs: 7_500_000 }),
    'stopped; 3 open requests finished, 1 was aborted; the longest lasted 2 h 05 min',
  );
  assert.equal(
    reportText({ finished: 1, aborted: 2, longestMs: 0 }),
    'stopped; 1 open request finished, 2 were aborted',
  );
});

test('on Windows Ctrl-Break and a console that closes stop it as Ctrl-C does', async () => {
  for (const signal of ['SIGBREAK', 'SIGHUP']) {
    const { source, clock, closes, stopped, finish, reloads } = stage(0, 'none', 'win32');
    source.emit(signal);
    await clock.pass(0);
    assert.deepEqual([closes, reloads()], [[30_000], 0]);
    finish(0);
    await stopped;
    assert.deepEqual(source.eventNames(), []);
  }
});
