import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { NoticeDeduplicator } from './notice-deduplicator.ts';

test('a notice that several workers send is reported once, and again after ten seconds', () => {
  const reported: string[] = [];
  const clock = new ManualClock();
  const deduplicator = new NoticeDeduplicator(clock, (event) => {
    if (event.type === 'notice') reported.push(`${event.level}: ${event.message}`);
  });
  deduplicator.report('warn', 'the disk is full', 1);
  deduplicator.report('warn', 'the disk is full', 2);
  deduplicator.report('info', 'the network has changed');
  assert.deepEqual(reported, ['warn: the disk is full', 'info: the network has changed']);
  clock.advance(10_000);
  deduplicator.report('warn', 'the disk is full');
  assert.equal(reported.length, 3);
});

test('what one worker says twice is reported twice, and what two say once each is reported once', () => {
  const reported: string[] = [];
  const deduplicator = new NoticeDeduplicator(new ManualClock(), (event) => {
    if (event.type === 'notice') reported.push(event.message);
  });
  deduplicator.report('warn', 'the disk is full', 1);
  deduplicator.report('warn', 'the disk is full', 2);
  assert.equal(reported.length, 1);
  deduplicator.report('warn', 'the disk is full', 1);
  assert.equal(reported.length, 2);
  deduplicator.report('warn', 'the disk is full', 2);
  assert.equal(reported.length, 2);
});
