import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import { NOTHING_MEASURED } from '../observe/process-measures.ts';
import { RequestCounter, sumOfCounts } from '../observe/request-counter.ts';
import { metricsText } from './metrics-text.ts';

const record = (more: Partial<ProxyRecord> = {}): ProxyRecord => ({
  id: 'a1',
  kind: 'tunnel',
  protocol: 'http/1.1',
  startedAt: new Date(0),
  durationMs: 7,
  client: { address: '192.0.2.7', port: 1, listener: 'http://127.0.0.1:3128' },
  principal: 'alice',
  method: 'CONNECT',
  target: { host: 'hidden.example', port: 443 },
  limits: [],
  route: { via: 'direct' },
  status: 200,
  bytesUp: 3,
  bytesDown: 5,
  timings: { connect: 12, relay: 1000 },
  ...more,
});

const seenOf = (counter: RequestCounter, live: readonly ProxyRecord[] = []) => ({
  live: live.map((one) => ({ step: 'relay', record: one }) as const),
  ended: [],
  cursor: new Map<number, number>(),
  counts: counter.counts,
  loopDelayMs: 1.5,
});

test('metrics count outcomes, failures, routes, bytes and times, and name no client, user or destination', () => {
  const counter = new RequestCounter(new ManualClock());
  counter.observe({ type: 'close', id: 'a1', record: record() });
  counter.observe({
    type: 'close',
    id: 'a2',
    record: record({ failure: 'dns_failed', route: undefined, timings: {} }),
  });
  const text = metricsText({
    seen: seenOf(counter, [record({ bytesDown: 100 })]),
    limits: [
      { kind: 'tunnels', name: 'a "b"', per: 'proxy', max: 9, open: 1, waiting: 2, refused: 3 },
      {
        kind: 'bandwidth',
        name: 'bandwidth-1',
        per: 'proxy',
        direction: 'both',
        priority: 'normal',
        rate: 1000,
        users: 1,
        waiting: 1,
        bytes: 77,
      },
    ],
    measures: {
      ...NOTHING_MEASURED,
      openFilesRatio: 0.25,
      sockets: { node: 1, addon: 2, relay: 4 },
      loopDelayMeanMs: 1.5,
      loopDelayMaxMs: 20,
      unaccounted: { ...NOTHING_MEASURED.unaccounted, permits: 3 },
    },
    ways: {
      upstreams: [
        { name: 'http://secret-name:1', state: 'up', latencyMs: [] },
        { name: 'http://secret-name:2', state: 'down', latencyMs: [] },
      ],
      pac: { state: 'script', source: 'http://secret-name/proxy.pac', ageMs: 1500 },
    },
    version: '1.2.3',
    relay: 'native',
    workers: 2,
    draining: false,
  });
  const lines = text.split('\n');
  for (const line of [
    'viaduct_build_info{version="1.2.3",relay="native"} 1',
    'viaduct_requests_total{kind="tunnel",outcome="ok"} 1',
    'viaduct_requests_total{kind="tunnel",outcome="failed"} 1',
    'viaduct_request_failures_total{reason="dns_failed"} 1',
    'viaduct_routes_total{route="direct"} 1',
    'viaduct_routes_total{route="none"} 1',
    'viaduct_bytes_total{direction="up"} 9',
    'viaduct_bytes_total{direction="down"} 110',
    'viaduct_open_requests{kind="tunnel"} 1',
    'viaduct_step_seconds_bucket{step="connect",le="0.01"} 0',
    'viaduct_step_seconds_bucket{step="connect",le="0.025"} 1',
    'viaduct_step_seconds_bucket{step="connect",le="+Inf"} 1',
    'viaduct_step_seconds_sum{step="connect"} 0.012',
    'viaduct_step_seconds_count{step="connect"} 1',
    'viaduct_limit_refused_total{limit="a \\"b\\"",kind="tunnels"} 3',
    'viaduct_limit_rate_bytes_per_second{limit="bandwidth-1",kind="bandwidth"} 1000',
    'viaduct_requests_total{kind="local",outcome="ok"} 0',
    'viaduct_request_failures_total{reason="loop_detected"} 0',
    'viaduct_upstreams{state="up"} 1',
    'viaduct_upstreams{state="down"} 1',
    'viaduct_pac_age_seconds 1.5',
    'viaduct_pac_unreachable 0',
    'viaduct_sockets{holder="relay"} 4',
    'viaduct_unaccounted{resource="permits"} 3',
    'viaduct_unaccounted{resource="timers"} 0',
    'viaduct_event_loop_delay_seconds 0.0015',
    'viaduct_event_loop_delay_max_seconds 0.02',
    'viaduct_open_files_ratio 0.25',
  ]) {
    assert.ok(lines.includes(line), line);
  }
  assert.doesNotMatch(text, /192\.0\.2|alice|hidden|secret-name/);
  // Each name is described before its first sample, once; and every line is one of the two.
  const described = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2] ?? '');
  assert.equal(new Set(described).size, described.length);
  for (const line of lines.filter((one) => one !== '' && !one.startsWith('#'))) {
    assert.match(line, /^[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\.)*"(?:,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? [0-9.e+-]+$/);
    assert.ok(described.includes((/^[a-z_]+/.exec(line)?.[0] ?? '').replace(/_(?:bucket|sum|count)$/, '')), line);
  }
  assert.ok(text.endsWith('\n'));
});

test('the counts of several processes are added up', () => {
  const [one, other] = [new RequestCounter(new ManualClock()), new RequestCounter(new ManualClock())];
  for (const counter of [one, one, other]) counter.observe({ type: 'close', id: 'a', record: record() });
  const sum = sumOfCounts([one.counts, other.counts]);
  assert.deepEqual([sum.requests, sum.bytesUp, sum.steps.connect.count], [{ 'tunnel ok': 3 }, 9, 3]);
  assert.equal(
    sum.steps.connect.buckets.reduce((all, count) => all + count, 0),
    3,
  );
});
