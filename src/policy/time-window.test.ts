import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TimeWindowOptions } from './options.ts';
import { timeWindow } from './time-window.ts';

/** Whether a window is open at a time such as `2025-06-06T22:00Z` (a Friday). */
const isOpen = (options: TimeWindowOptions, at: string) => timeWindow(options)(Date.parse(at));

describe('a time window', () => {
  test('opens with its first minute and closes before the minute of its end', () => {
    const office = { days: ['mon-fri'], from: '08:00', to: '18:00', zone: 'UTC' };
    assert.ok(!isOpen(office, '2025-06-06T07:59:59.999Z'));
    assert.ok(isOpen(office, '2025-06-06T08:00:00Z'));
    assert.ok(isOpen(office, '2025-06-06T17:59:59.999Z'));
    assert.ok(!isOpen(office, '2025-06-06T18:00:00Z'));
    assert.ok(!isOpen(office, '2025-06-07T12:00:00Z'), 'Saturday');
  });
  test('over midnight belongs to the day on which it begins', () => {
    const friday = { days: ['fri'], from: '22:00', to: '06:00', zone: 'UTC' };
    assert.ok(!isOpen(friday, '2025-06-06T05:00Z'), 'Friday morning belongs to Thursday');
    assert.ok(isOpen(friday, '2025-06-06T22:00Z'));
    assert.ok(isOpen(friday, '2025-06-07T05:59Z'));
    assert.ok(!isOpen(friday, '2025-06-07T06:00Z'));
    assert.ok(!isOpen(friday, '2025-06-07T22:00Z'));
    const saturday = { days: ['sat'], from: '22:00', to: '06:00', zone: 'UTC' };
    assert.ok(isOpen(saturday, '2025-06-08T05:00Z'), 'the week begins on Sunday');
  });
  test('may lack its days, its beginning or its end', () => {
    assert.ok(isOpen({ zone: 'UTC' }, '2025-06-06T00:00Z'));
    assert.ok(isOpen({ from: '23:00', zone: 'UTC' }, '2025-06-06T23:59Z'));
    assert.ok(!isOpen({ from: '23:00', zone: 'UTC' }, '2025-06-06T22:59Z'));
    assert.ok(isOpen({ to: '01:00', zone: 'UTC' }, '2025-06-06T00:59Z'));
    assert.ok(isOpen({ from: '12:00', to: '00:00', zone: 'UTC' }, '2025-06-06T23:59Z'));
    assert.ok(!isOpen({ from: '12:00', to: '00:00', zone: 'UTC' }, '2025-06-06T00:00Z'));
  });
  test('takes ranges of days that go round the week', () => {
    const days = ['sat-mon', 'WED'];
    const open = [
      '2025-06-01',
      '2025-06-02',
      '2025-06-03',
      '2025-06-04',
      '2025-06-05',
      '2025-06-06',
      '2025-06-07',
    ].filter((date) => isOpen({ days, zone: 'UTC' }, `${date}T12:00Z`));
    assert.deepEqual(
      open,
      ['2025-06-01', '2025-06-02', '2025-06-04', '2025-06-07'],
      'Sunday, Monday, Wednesday, Saturday',
    );
  });
  test('follows its zone through summer and winter time', () => {
    const berlin = { from: '08:00', to: '09:00', zone: 'Europe/Berlin' };
    assert.ok(isOpen(berlin, '2025-01-15T07:30Z'));
    assert.ok(isOpen(berlin, '2025-07-15T06:30Z'));
    assert.ok(!isOpen(berlin, '2025-07-15T07:30Z'));
    assert.ok(isOpen({ days: ['tue'], from: '00:00', to: '01:00', zone: 'Asia/Kolkata' }, '2025-06-02T18:30Z'));
  });
  test('without a zone is in the time of this machine', () => {
    const noon = new Date(2025, 5, 6, 12, 0).getTime();
    assert.ok(timeWindow({ days: ['fri'], from: '12:00', to: '12:01' })(noon));
    assert.ok(!timeWindow({ days: ['fri'], from: '12:01', to: '12:02' })(noon));
  });
  test('answers anew for each minute', () => {
    const open = timeWindow({ from: '10:00', to: '10:01', zone: 'UTC' });
    const at = (time: string) => open(Date.parse(`2025-06-06T${time}Z`));
    assert.deepEqual(['09:59:59', '10:00:00', '10:00:59', '10:01:00', '10:00:30'].map(at), [
      false,
      true,
      true,
      false,
      true,
    ]);
  });
});
