import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from './manual-clock.ts';

test('runs due tasks in the order of their time, each at its time', () => {
  const clock = new ManualClock();
  const ran: string[] = [];
  const note = (name: string) => () => ran.push(`${name}@${clock.now()}`);
  clock.after(20, note('late'));
  clock.after(10, note('first'));
  clock.after(10, note('second'));
  clock.after(10, () => clock.after(5, note('nested')));
  clock.after(30, note('not yet'));
  clock.after(5, note('cancelled'))[Symbol.dispose]();
  clock.advance(25);
  assert.deepEqual(ran, ['first@10', 'second@10', 'nested@15', 'late@20']);
  assert.equal(clock.now(), 25);
  assert.equal(clock.pending, 1);
});

test('lets promises settle between tasks', async () => {
  const clock = new ManualClock();
  const seen: number[] = [];
  const tick = () =>
    new Promise<void>((resolve) => {
      clock.after(10, resolve);
    });
  const loop = async () => {
    for (let turn = 0; turn < 3; turn++) {
      await tick();
      seen.push(clock.now());
    }
  };
  const looping = loop();
  await clock.pass(35);
  await looping;
  assert.deepEqual(seen, [10, 20, 30]);
});

test('the wall clock can be set without moving time', () => {
  const clock = new ManualClock(1_000);
  clock.advance(500);
  assert.equal(clock.wallMs(), 1_500);
  clock.setWall(9_000);
  assert.equal(clock.wallMs(), 9_000);
  assert.equal(clock.now(), 500);
});
