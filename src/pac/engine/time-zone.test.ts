import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTimeZone, timeZone } from './time-zone.ts';

const offset = (zone: string, at: string): number => timeZone(zone)(Date.parse(at));

test('offsets are those of the zone at the instant, on both sides of a clock change', () => {
  assert.equal(offset('Europe/Berlin', '2024-03-31T00:59:59Z'), -60);
  assert.equal(offset('Europe/Berlin', '2024-03-31T01:00:00Z'), -120);
  assert.equal(offset('America/New_York', '2024-11-03T05:59:59Z'), 240);
  assert.equal(offset('America/New_York', '2024-11-03T06:00:00Z'), 300);
  assert.equal(offset('Asia/Kolkata', '2024-01-01T00:00:00Z'), -330);
  assert.equal(offset('Australia/Lord_Howe', '2024-07-01T00:00:00Z'), -630);
  assert.equal(offset('UTC', '2024-07-01T00:00:00Z'), 0);
});

test("without a name it is the machine's zone", () => {
  const at = Date.parse('2024-07-01T00:00:00Z');
  assert.equal(timeZone(undefined)(at), new Date(at).getTimezoneOffset());
});

test('years before 1 and instants beyond the range of Date are accepted', () => {
  assert.equal(offset('Etc/GMT+5', '-000100-01-01T00:00:00Z'), 300);
  assert.equal(timeZone('Etc/GMT+5')(9e15), 0);
});

test('an unknown zone is recognised', () => {
  assert.deepEqual(['Europe/Berlin', 'UTC', 'Mars/Base'].map(isTimeZone), [true, true, false]);
});
