/**
 * What counting costs for each CONNECT: `node bench/counting.ts`. Fails above one microsecond.
 */
import type { ProxyEvent } from '../src/contracts/event.ts';
import type { ProxyRecord } from '../src/contracts/record.ts';
import { RequestCounter } from '../src/observe/request-counter.ts';
import { systemClock } from '../src/util/clock.ts';

const REQUESTS = 1_000_000;
const ROUNDS = 5;
const NANOSECONDS_MAX = 1_000;

const record: ProxyRecord = {
  id: 'a1',
  kind: 'tunnel',
  protocol: 'http/1.1',
  startedAt: new Date(0),
  durationMs: 7,
  client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
  method: 'CONNECT',
  target: { host: 'a.example', port: 443 },
  limits: [],
  route: { via: 'direct' },
  status: 200,
  bytesUp: 3,
  bytesDown: 5,
  timings: { identify: 0.1, admit: 0.1, route: 2, connect: 120, relay: 1000 },
};
/** A CONNECT reports about eight events; two of them are counted. */
const events: readonly ProxyEvent[] = [
  ...Array.from({ length: 6 }, () => ({ type: 'established', id: 'a1' }) as const),
  { type: 'decided', id: 'a1', decision: { verdict: 'allow', rule: 'default' } },
  { type: 'close', id: 'a1', record },
];

/** The best of some rounds: the others were disturbed. */
function nanosecondsPerConnect(): number {
  const counter = new RequestCounter(systemClock);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const startedMs = performance.now();
    for (let at = 0; at < REQUESTS; at++) for (const event of events) counter.observe(event);
    return ((performance.now() - startedMs) * 1e6) / REQUESTS;
  });
  return Math.min(...rounds);
}

if (import.meta.main) {
  const nanoseconds = nanosecondsPerConnect();
  process.stdout.write(`counting costs ${Math.round(nanoseconds)} ns per CONNECT\n`);
  process.exitCode = nanoseconds <= NANOSECONDS_MAX ? 0 : 1;
}
