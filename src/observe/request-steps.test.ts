import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { received } from '../../test/support/received.ts';
import { RequestSteps } from './request-steps.ts';

test('the parts of a request are kept with the time when they began, and only of the last requests', () => {
  const clock = new ManualClock();
  const steps = new RequestSteps(clock);
  const begin = (id: string) =>
    steps.observe({
      type: 'request',
      id,
      request: { ...received().request, id, startedMs: clock.now() },
    });
  begin('1');
  clock.advance(10);
  steps.observe({ type: 'dns', id: '1', host: 'a.example', addresses: ['192.0.2.1'], ms: 4 });
  clock.advance(5);
  steps.observe({ type: 'attempt-failed', id: '1', address: '192.0.2.1', reason: 'connection_refused', ms: 5 });
  clock.advance(7);
  steps.observe({ type: 'connected', id: '1', address: '192.0.2.2', ms: 7 });
  clock.advance(30);
  steps.observe({ type: 'secured', id: '1', proxy: 'https://proxy.example:443', speaks: 'h2', ms: 30 });
  for (const id of ['1', 'unknown']) steps.observe({ type: 'response', id, status: 200, headers: [] });
  assert.deepEqual(steps.of('1'), [
    { what: 'dns', about: 'a.example: 192.0.2.1', startMs: 6, ms: 4 },
    { what: 'dial-failed', about: '192.0.2.1: connection_refused', startMs: 10, ms: 5 },
    { what: 'dial', about: '192.0.2.2', startMs: 15, ms: 7 },
    { what: 'tls', about: 'with https://proxy.example:443', startMs: 22, ms: 30 },
    { what: 'first-byte', about: 'of the response, 200', startMs: 52, ms: 0 },
  ]);
  for (let n = 0; n < 2_048; n++) {
    clock.advance(2);
    begin(`later ${n}`);
  }
  assert.deepEqual(steps.of('1'), []);
});

test('of more than 500 requests that begin in a second a sample is kept', () => {
  const clock = new ManualClock();
  const steps = new RequestSteps(clock);
  for (let n = 0; n < 1_000; n++) {
    const id = String(n);
    steps.observe({ type: 'request', id, request: { ...received().request, id, startedMs: clock.now() } });
    steps.observe({ type: 'response', id, status: 200, headers: [] });
  }
  const kept = Array.from({ length: 1_000 }, (_, n) => steps.of(String(n)).length);
  assert.deepEqual(kept, [...new Array(500).fill(1), ...new Array(500).fill(0)]);
});
