import { FAILURES } from '../contracts/failure.ts';
import type { LimitState, StoreState } from '../limits/limit-state.ts';
import type { ProcessMeasures } from '../observe/process-measures.ts';
import type { RequestsSeen, Ways } from './controlled-proxy.ts';
import { MetricsPage, type Sample } from './metrics-page.ts';

/** What the metrics are made of. */
export interface MetricsInput {
  readonly seen: RequestsSeen;
  readonly measures: ProcessMeasures;
  readonly limits: readonly LimitState[];
  readonly limitStore?: StoreState | undefined;
  readonly ways: Ways;
  readonly version: string;
  readonly relay: string;
  readonly workers: number;
  readonly draining: boolean;
}

const KINDS = ['tunnel', 'forward', 'local'];
const OUTCOMES = ['ok', 'failed'];

/**
 * Every label comes from a table or from the configuration: no name of a client, a user or a destination is here, and no
 * client can make the text grow. What can be counted has a sample from the start: a rate over the first one would be missing.
 */
export function metricsText(input: MetricsInput): string {
  const { seen, measures, limits, limitStore, ways, version, relay, workers, draining } = input;
  const page = new MetricsPage();
  page.add('viaduct_build_info', [[{ version, relay }, 1]]);
  page.addOne('viaduct_workers', workers);
  page.addOne('viaduct_draining', draining ? 1 : 0);
  requestMetrics(page, seen);
  limitMetrics(page, limits);
  if (limitStore !== undefined) storeMetrics(page, limitStore);
  wayMetrics(page, ways);
  processMetrics(page, measures);
  return page.text;
}

function requestMetrics(page: MetricsPage, { live, counts }: RequestsSeen): void {
  page.add(
    'viaduct_requests_total',
    KINDS.flatMap((kind) =>
      OUTCOMES.map((outcome): Sample => [{ kind, outcome }, counts.requests[`${kind} ${outcome}`] ?? 0]),
    ),
  );
  page.add(
    'viaduct_request_failures_total',
    Object.keys(FAILURES).map((reason): Sample => [{ reason }, counts.failures[reason] ?? 0]),
  );
  page.addEach('viaduct_routes_total', 'route', counts.routes);
  const up = live.reduce((sum, { record }) => sum + record.bytesUp, counts.bytesUp);
  const down = live.reduce((sum, { record }) => sum + record.bytesDown, counts.bytesDown);
  page.addEach('viaduct_bytes_total', 'direction', { up, down });
  page.add(
    'viaduct_open_requests',
    KINDS.map((kind): Sample => [{ kind }, live.filter(({ record }) => record.kind === kind).length]),
  );
  for (const [step, histogram] of Object.entries(counts.steps)) {
    if (step !== 'relay') page.addHistogram('viaduct_step_seconds', { step }, histogram);
  }
}

function storeMetrics(page: MetricsPage, { isUp, instances, calls, errors, callMs }: StoreState): void {
  page.addOne('viaduct_limit_store_up', isUp ? 1 : 0);
  page.addOne('viaduct_limit_store_instances', instances);
  page.addOne('viaduct_limit_store_calls_total', calls);
  page.addOne('viaduct_limit_store_errors_total', errors);
  page.addOne('viaduct_limit_store_call_seconds', callMs / 1_000);
}

function limitMetrics(page: MetricsPage, limits: readonly LimitState[]): void {
  const of = (pick: (limit: LimitState) => number | undefined): Sample[] =>
    limits.flatMap((limit) => {
      const value = pick(limit);
      return value === undefined ? [] : [[{ limit: limit.name, kind: limit.kind }, value]];
    });
  page.add(
    'viaduct_limit_waiting',
    of((limit) => ('waiting' in limit ? limit.waiting : undefined)),
  );
  page.add(
    'viaduct_limit_refused_total',
    of((limit) => ('refused' in limit ? limit.refused : undefined)),
  );
  page.add(
    'viaduct_limit_bytes_total',
    of((limit) => (limit.kind === 'bandwidth' ? limit.bytes : undefined)),
  );
  page.add(
    'viaduct_limit_rate_bytes_per_second',
    of((limit) => (limit.kind === 'bandwidth' ? limit.rate : undefined)),
  );
}

/** Numbers alone: the names of upstream proxies may come from a PAC, which may make them of what clients ask for. */
function wayMetrics(page: MetricsPage, { upstreams, pac }: Ways): void {
  const down = upstreams.filter(({ state }) => state === 'down').length;
  page.addEach('viaduct_upstreams', 'state', { up: upstreams.length - down, down });
  page.addOne('viaduct_pac_unreachable', pac.state === 'unreachable' ? 1 : 0);
  page.addOne('viaduct_pac_age_seconds', pac.ageMs === undefined ? undefined : pac.ageMs / 1000);
}

function processMetrics(page: MetricsPage, measures: ProcessMeasures): void {
  page.addEach('viaduct_relay_tunnels', 'relay', measures.relayTunnels);
  page.addEach('viaduct_sockets', 'holder', measures.sockets);
  page.addOne('viaduct_timers', measures.timers);
  page.addEach('viaduct_unaccounted', 'resource', { ...measures.unaccounted });
  page.addOne('viaduct_event_loop_delay_seconds', measures.loopDelayMeanMs / 1000);
  page.addOne('viaduct_event_loop_delay_max_seconds', measures.loopDelayMaxMs / 1000);
  page.addOne('viaduct_heap_used_bytes', measures.heapUsedBytes);
  page.addOne('viaduct_heap_limit_bytes', measures.heapLimitBytes);
  page.addOne('viaduct_resident_memory_bytes', measures.residentBytes);
  page.addOne('viaduct_cpu_seconds_total', measures.cpuSeconds);
  page.addOne('viaduct_open_files', measures.openFiles);
  page.addOne('viaduct_open_files_ratio', measures.openFilesRatio);
  const { user, system } = process.cpuUsage();
  page.addOne('process_start_time_seconds', Math.round(performance.timeOrigin) / 1000);
  page.addOne('process_resident_memory_bytes', process.memoryUsage.rss());
  page.addOne('process_cpu_seconds_total', (user + system) / 1e6);
}
