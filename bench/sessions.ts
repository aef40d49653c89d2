/**
 * What the registry of live requests costs: time to enter a request and to take it out again, and memory per entry.
 *
 *   node bench/sessions.ts
 *
 * Fails when an entry takes more than 3 µs or more than 200 bytes, with 10,000 requests in progress.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ProxyRecord } from '../src/contracts/record.ts';
import { type LiveEntry, Sessions } from '../src/sessions/sessions.ts';
import { NO_SLOT } from '../src/util/slot-list.ts';

const ENTRIES = 10_000;
const ROUNDS = 200;
const ENTRY_US_MAX = 3;
const ENTRY_BYTES_MAX = 200;

/** Of every request the same, so that only the registry is measured. */
const RECORD: ProxyRecord = {
  id: 'x',
  kind: 'tunnel',
  protocol: 'http/1.1',
  startedAt: new Date(0),
  durationMs: 0,
  client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
  method: 'CONNECT',
  limits: [],
  status: 200,
  bytesUp: 0,
  bytesDown: 0,
  timings: {},
};

/** The part of a request's record builder that is there for the registry: four fields. */
class Entry implements LiveEntry {
  slot: number = NO_SLOT;
  readonly kind = 'tunnel';
  readonly step = undefined;
  readonly permit = undefined;
  readonly client: object;
  readonly sessions: Sessions;
  source: object | undefined;

  constructor(client: object, sessions: Sessions) {
    this.client = client;
    this.sessions = sessions;
  }

  get id(): string {
    return RECORD.id;
  }

  snapshot() {
    return { step: undefined, record: RECORD };
  }

  stop(): void {}
}

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('this Node has no gc()');
  return () => void collect();
}

const collect = collector();
const sessions = new Sessions();
const client = {};

collect();
const before = process.memoryUsage().heapUsed;
const entries = Array.from({ length: ENTRIES }, () => new Entry(client, sessions));
for (const entry of entries) sessions.add(entry);
collect();
// Without the array of this program, which has a pointer to each.
const entryBytes = (process.memoryUsage().heapUsed - before) / ENTRIES - 8;

/** Each leaves from the middle of the others, and another comes. */
function replaceAll(): void {
  for (const entry of entries) {
    sessions.remove(entry, RECORD);
    sessions.add(entry);
  }
}
for (let round = 0; round < 20; round++) replaceAll();
const samplesUs = Array.from({ length: ROUNDS }, () => {
  const startedMs = performance.now();
  replaceAll();
  return ((performance.now() - startedMs) * 1000) / ENTRIES;
}).sort((a, b) => a - b);
const entryUs = samplesUs[ROUNDS / 2] ?? Number.NaN;

const startedMs = performance.now();
const listed = sessions.snapshot().length;
const listMs = performance.now() - startedMs;

process.stdout.write(
  `${ENTRIES} requests in progress\n` +
    `add and remove   ${entryUs.toFixed(3)} µs (at most ${ENTRY_US_MAX})\n` +
    `memory           ${entryBytes.toFixed(0)} bytes per entry (at most ${ENTRY_BYTES_MAX})\n` +
    `list of ${listed}    ${listMs.toFixed(2)} ms\n`,
);
process.exitCode = entryUs <= ENTRY_US_MAX && entryBytes <= ENTRY_BYTES_MAX ? 0 : 1;
