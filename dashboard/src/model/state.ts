import { computed, signal } from '@preact/signals';
import { type FeedListeners, lastHeardMs } from '../api/feed.ts';
import { forgetOffers } from '../api/offers.ts';
import { request } from '../api/request.ts';
import type { Counters, LogLine, Row, Status } from '../api/shape.ts';
import { History } from './history.ts';
import { Traffic } from './traffic.ts';

const LOG_LINES_MAX = 1_000;

const traffic = new Traffic();
export const history = new History();

/** What the page has heard: each counts one event of the feed, and views read what is behind it. */
const changes = signal(0);

export const status = signal<Status | undefined>(undefined);
export const counters = signal<Counters | undefined>(undefined);
export const log = signal<readonly LogLine[]>([]);
/** Advances once a second, for ages and countdowns. */
export const nowMs = signal(Date.now());

/** Rows as of the last event. */
export const rows = computed<{ readonly live: readonly Row[]; readonly closed: readonly Row[] }>(() => {
  changes.value;
  return { live: traffic.live, closed: traffic.closed };
});

export function findRow(id: string): Row | undefined {
  changes.value;
  return traffic.find(id);
}

/** How long ago the last byte of the feed came, in whole seconds. */
export const dataAgeSeconds = computed(() => {
  nowMs.value;
  return lastHeardMs.value === 0 ? undefined : Math.floor((performance.now() - lastHeardMs.value) / 1_000);
});

/** How far the clock of the proxy is ahead of ours. */
let clockAheadMs = 0;

/** Now by the clock of the proxy, which its times are of. */
export const proxyNowMs = computed(() => nowMs.value + clockAheadMs);

export const feedListeners: FeedListeners = {
  onSnapshot(snapshot) {
    forgetOffers();
    status.value = snapshot.status;
    clockAheadMs = Date.parse(snapshot.status.now) - Date.now() || 0;
    traffic.start(snapshot);
    count(snapshot.counters);
  },
  onChange(change) {
    traffic.apply(change);
    count(change.counters);
  },
  onLog(line) {
    log.value = [line, ...log.value].slice(0, LOG_LINES_MAX);
  },
};

/** The feed brings the status only at its start; another viewer may have changed it since. */
export async function readStatus(): Promise<void> {
  status.value = await request('GET', 'status');
}

function count(fresh: Counters): void {
  history.add(Date.parse(fresh.at), fresh.rateUp, fresh.rateDown);
  counters.value = fresh;
  changes.value += 1;
}
