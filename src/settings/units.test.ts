import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatDuration, parseBytes, parseDuration, parseRate } from './units.ts';

test('reads sizes with binary, decimal and bare units', () => {
  const cases: [string | number, number][] = [
    [524288, 524288],
    ['524288', 524288],
    ['0', 0],
    ['64B', 64],
    ['512KiB', 524288],
    ['512kib', 524288],
    ['512K', 524288],
    ['1.5MB', 1_500_000],
    ['50 GiB', 53_687_091_200],
    ['20PiB', 22_517_998_136_852_480],
    ['10kB', 10_000],
  ];
  for (const [given, bytes] of cases) assert.equal(parseBytes(given), bytes, String(given));
});

test('reads rates in bytes and bits per second', () => {
  const cases: [string | number, number][] = [
    ['524288', 524288],
    [524288, 524288],
    ['512KiB', 524288],
    ['2MiB/s', 2_097_152],
    ['4Mbit', 500_000],
    ['4Mbit/s', 500_000],
    ['4mbps', 500_000],
    ['100Gbit', 12_500_000_000],
    ['1Kibit', 128],
    ['1bit', 0.125],
    ['20M', 20_971_520],
  ];
  for (const [given, rate] of cases) assert.equal(parseRate(given), rate, String(given));
});

test('reads durations; a bare number counts seconds', () => {
  const cases: [string | number, number][] = [
    [30, 30_000],
    ['30', 30_000],
    ['0', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['5min', 300_000],
    ['1h30m', 5_400_000],
    ['1h 30m', 5_400_000],
    ['30d', 2_592_000_000],
    ['1.5h', 5_400_000],
  ];
  for (const [given, ms] of cases) assert.equal(parseDuration(given), ms, String(given));
});

test('refuses what is not a size, rate or duration, in a sentence', () => {
  for (const given of [
    '',
    '-1',
    '-5KiB',
    'abc',
    '1e9',
    'NaN',
    'Infinity',
    '1..5MB',
    '0x10',
    '5 apples',
    '1iB',
    '9'.repeat(30),
  ]) {
    assert.throws(() => parseBytes(given), /is not|larger/, given);
    assert.throws(() => parseRate(given), /is not|larger/, given);
    assert.throws(() => parseDuration(given), /is not|longer/, given);
  }
  for (const given of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
    assert.throws(() => parseBytes(given), /is not/);
    assert.throws(() => parseRate(given), /is not/);
    assert.throws(() => parseDuration(given), /is not/);
  }
  assert.throws(() => parseRate(0), /a rate of 0 would let nothing pass/);
  assert.throws(() => parseRate('0Mbit'), /a rate of 0 would let nothing pass/);
  assert.throws(() => parseRate('4Mb'), /bits or bytes/);
  assert.throws(() => parseBytes('4mb/s'), /bits or bytes/);
  assert.throws(
    () => parseBytes(`${'9'.repeat(10_000)}x`),
    (error) => error instanceof Error && error.message.length < 200,
  );
});

test('writes sizes the way they are configured', () => {
  assert.equal(formatBytes(0), '0B');
  assert.equal(formatBytes(524288), '512KiB');
  assert.equal(formatBytes(1_500_000), '1.5MB');
  assert.equal(formatBytes(1_234_567), '1.18MiB');
  assert.equal(formatBytes(2n ** 60n), '1EiB');
});

test('writes durations in their two largest units', () => {
  assert.equal(formatDuration(250), '250ms');
  assert.equal(formatDuration(2500), '2.5s');
  assert.equal(formatDuration(30_000), '30s');
  assert.equal(formatDuration(5_400_000), '1h30m');
  assert.equal(formatDuration(2_592_000_000), '30d');
  assert.equal(formatDuration(2_520_000_000), '29d4h');
});
