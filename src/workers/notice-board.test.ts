import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { NoticeBoard } from './notice-board.ts';

test('what several workers find out is told once, and again when it is news', () => {
  const told: string[] = [];
  const clock = new ManualClock();
  const board = new NoticeBoard(clock, (event) => {
    if (event.type === 'notice') told.push(`${event.level}: ${event.message}`);
  });
  board.post('warn', 'the disk is full');
  board.post('warn', 'the disk is full');
  board.post('info', 'the network has changed');
  assert.deepEqual(told, ['warn: the disk is full', 'info: the network has changed']);
  clock.advance(10_000);
  board.post('warn', 'the disk is full');
  assert.equal(told.length, 3);
});
