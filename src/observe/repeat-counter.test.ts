import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { notices } from './notices.ts';
import { RepeatCounter } from './repeat-counter.ts';

test('a message that repeats is printed once, and ten seconds later how often it came', () => {
  const printed: string[] = [];
  const clock = new ManualClock();
  const repeats = new RepeatCounter(clock, (level, message) => printed.push(`${level}: ${message}`));
  for (let n = 0; n < 4; n++) repeats.report('warn', 'the disk is full');
  repeats.report('info', 'the network has changed');
  assert.deepEqual(printed.splice(0), ['warn: the disk is full', 'info: the network has changed']);
  clock.advance(10_000);
  assert.deepEqual(printed.splice(0), ['warn: the disk is full (3 more times within 10 s)']);
  repeats.report('warn', 'the disk is full');
  repeats.report('warn', 'the disk is full');
  repeats[Symbol.dispose]();
  assert.deepEqual(printed, ['warn: the disk is full', 'warn: the disk is full (once more within 10 s)']);
});

test('what each request meets is counted under any id, and the first is named', async () => {
  const printed: string[] = [];
  const stderr = new PassThrough().setEncoding('utf8').on('data', (text: string) => printed.push(text));
  const log = notices({ stderr, clock: new ManualClock(), from: () => 'info' });
  for (const id of ['a-1', 'a-2', 'a-3']) {
    log.observe({ type: 'notice', level: 'error', message: `request ${id}: the hook failed`, id });
  }
  log.observe({ type: 'notice', level: 'error', message: 'request a-4: another failure', id: 'a-4' });
  await log[Symbol.asyncDispose]();
  assert.deepEqual(printed.join('').split('\n'), [
    'viaduct: request a-1: the hook failed',
    'viaduct: request a-4: another failure',
    'viaduct: request a-1: the hook failed (2 more times within 10 s)',
    '',
  ]);
});

test('beyond 256 texts the oldest is forgotten, with its count printed', () => {
  const printed: string[] = [];
  const repeats = new RepeatCounter(new ManualClock(), (_level, message) => printed.push(message));
  repeats.report('warn', 'first');
  repeats.report('warn', 'first');
  for (let n = 0; n < 256; n++) repeats.report('warn', `text ${n}`);
  assert.equal(printed.at(-1), 'first (once more within 10 s)');
});
