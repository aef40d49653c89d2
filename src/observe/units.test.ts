import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesText, durationText, rateText } from './units.ts';

test('sizes have at most three digits', () => {
  const text = [0, 999, 1000, 1229, 10_240, 1_048_575, 5 * 2 ** 30, 2 ** 53].map(bytesText);
  assert.deepEqual(text, ['0 B', '999 B', '1.0 KiB', '1.2 KiB', '10 KiB', '1.0 MiB', '5.0 GiB', '8.0 PiB']);
});

test('durations have the units of their size', () => {
  const text = [0, 0.44, 12.4, 999.4, 999.6, 1240, 59_940, 59_999, 200_000, 7_500_000].map(durationText);
  assert.deepEqual(text, [
    '0.0 ms',
    '0.4 ms',
    '12 ms',
    '999 ms',
    '1.00 s',
    '1.24 s',
    '59.9 s',
    '1 min 00 s',
    '3 min 20 s',
    '2 h 05 min',
  ]);
});

test('a rate needs bytes and time', () => {
  assert.equal(rateText(524_288, 1000), '512 KiB/s');
  assert.equal(rateText(0, 1000), '-');
  assert.equal(rateText(100, 0.2), '-');
});
