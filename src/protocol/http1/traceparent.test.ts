import assert from 'node:assert/strict';
import { test } from 'node:test';
import { traceIdOf } from './traceparent.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const idOf = (...values: string[]): string | undefined => traceIdOf(values.map((value) => ['Traceparent', value]));

test('the id of the trace is read from a valid traceparent', () => {
  assert.equal(idOf(`00-${TRACE}-${PARENT}-01`), TRACE);
  assert.equal(idOf(`cc-${TRACE}-${PARENT}-01-what-the-future-will-be-like`), TRACE);
  assert.equal(traceIdOf([]), undefined);
});

test('what W3C Trace Context calls invalid names no trace', () => {
  for (const value of [
    '',
    `00-${TRACE}-${PARENT}`,
    `00-${TRACE}-${PARENT}-01-more`,
    `ff-${TRACE}-${PARENT}-01`,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `cc-${TRACE}-${PARENT}-01.more`,
  ])
    assert.equal(idOf(value), undefined, value);
  assert.equal(idOf(`00-${TRACE}-${PARENT}-01`, `00-${TRACE}-${PARENT}-01`), undefined);
});
