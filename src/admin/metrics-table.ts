/** A metric as its page describes it. */
export interface MetricTerms {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** What each label says. Every value comes from a table or from the configuration: no client can add one. */
  readonly labels: Readonly<Record<string, string>>;
}

const NO_LABELS = {};
const LIMIT_LABELS = {
  limit: 'name of the limit, as in the configuration',
  kind: '`bandwidth`, `tunnels`, `requests` or `quota`',
};

/** Every metric, in the order of the text. docs/METRICS.md is made of it. */
export const METRICS = {
  viaduct_build_info: {
    type: 'gauge',
    help: 'Version and relay of the proxy; always 1.',
    labels: { version: 'of the proxy', relay: '`native` or `portable`: what moves the bytes of plain tunnels' },
  },
  viaduct_workers: { type: 'gauge', help: 'Processes that serve.', labels: NO_LABELS },
  viaduct_draining: { type: 'gauge', help: 'Whether the proxy takes no requests any more.', labels: NO_LABELS },
  viaduct_requests_total: {
    type: 'counter',
    help: 'Requests and tunnels that have ended.',
    labels: { kind: '`tunnel`, `forward` or `local` (for the proxy itself)', outcome: '`ok` or `failed`' },
  },
  viaduct_request_failures_total: {
    type: 'counter',
    help: 'Requests that failed, by the reason that the log has (docs/ERRORS.md).',
    labels: { reason: 'a failure of [ERRORS.md](ERRORS.md)' },
  },
  viaduct_routes_total: {
    type: 'counter',
    help: 'Requests that have ended, by the kind of their route.',
    labels: { route: '`none`, `direct`, `direct_fallback`, `proxy` or `chain`' },
  },
  viaduct_bytes_total: {
    type: 'counter',
    help: 'Bytes moved from clients (up) and to them (down).',
    labels: { direction: '`up` or `down`' },
  },
  viaduct_open_requests: {
    type: 'gauge',
    help: 'Requests and tunnels in progress.',
    labels: { kind: '`tunnel`, `forward` or `local`' },
  },
  viaduct_step_seconds: {
    type: 'histogram',
    help: 'Time of each step of a request; the time that a tunnel is open is no step.',
    labels: { step: '`identify`, `admit`, `route`, `connect` (tunnels) or `wait` (plain requests)' },
  },
  viaduct_limit_waiting: {
    type: 'gauge',
    help: 'Requests, or directions of them, that wait for a limit now.',
    labels: LIMIT_LABELS,
  },
  viaduct_limit_refused_total: { type: 'counter', help: 'Requests that a limit has refused.', labels: LIMIT_LABELS },
  viaduct_limit_bytes_total: {
    type: 'counter',
    help: 'Bytes that have passed under a bandwidth limit.',
    labels: LIMIT_LABELS,
  },
  viaduct_limit_rate_bytes_per_second: { type: 'gauge', help: 'Rate of a bandwidth limit.', labels: LIMIT_LABELS },
  viaduct_limit_store_up: {
    type: 'gauge',
    help: 'Whether the store of the shared limits (`limits.store`) answers.',
    labels: NO_LABELS,
  },
  viaduct_limit_store_instances: {
    type: 'gauge',
    help: 'Instances that share their limits, as this one knows.',
    labels: NO_LABELS,
  },
  viaduct_limit_store_calls_total: {
    type: 'counter',
    help: 'Scripts that this instance has called in the store.',
    labels: NO_LABELS,
  },
  viaduct_limit_store_errors_total: {
    type: 'counter',
    help: 'Calls of the store that have failed, or had no answer in time.',
    labels: NO_LABELS,
  },
  viaduct_limit_store_call_seconds: {
    type: 'gauge',
    help: 'Time of a call of the store, a moving average.',
    labels: NO_LABELS,
  },
  viaduct_upstreams: {
    type: 'gauge',
    help: 'Upstream proxies that were used lately, by their state.',
    labels: { state: '`up` or `down`' },
  },
  viaduct_pac_unreachable: {
    type: 'gauge',
    help: 'Whether there is no PAC although one is configured.',
    labels: NO_LABELS,
  },
  viaduct_pac_age_seconds: {
    type: 'gauge',
    help: 'Age of the PAC in use; absent where there is none.',
    labels: NO_LABELS,
  },
  viaduct_relay_tunnels: {
    type: 'gauge',
    help: 'Tunnels whose bytes are moved, by the relay that does so.',
    labels: { relay: '`native` (the thread of the addon) or `portable` (the event loop)' },
  },
  viaduct_sockets: {
    type: 'gauge',
    help: 'TCP sockets that are open, by what holds them.',
    labels: { holder: '`node`, `addon` (its epoll set) or `relay` (its thread)' },
  },
  viaduct_timers: { type: 'gauge', help: 'Timers that are set.', labels: NO_LABELS },
  viaduct_unaccounted: {
    type: 'gauge',
    help: 'What is open and belongs to no request in progress and no part of the proxy; always 0, or something was forgotten.',
    labels: {
      resource: '`permits`, `buckets` (of bandwidth limits), `connections` (dialled), `descriptors` or `timers`',
    },
  },
  viaduct_event_loop_delay_seconds: {
    type: 'gauge',
    help: 'Mean delay of the busiest event loop since the last scrape.',
    labels: NO_LABELS,
  },
  viaduct_event_loop_delay_max_seconds: {
    type: 'gauge',
    help: 'Longest delay of any event loop since the last scrape.',
    labels: NO_LABELS,
  },
  viaduct_heap_used_bytes: { type: 'gauge', help: 'JavaScript heaps in use.', labels: NO_LABELS },
  viaduct_heap_limit_bytes: { type: 'gauge', help: 'Size that these heaps may have.', labels: NO_LABELS },
  viaduct_resident_memory_bytes: {
    type: 'gauge',
    help: 'Resident memory of all processes that serve.',
    labels: NO_LABELS,
  },
  viaduct_cpu_seconds_total: { type: 'counter', help: 'CPU time of all processes that serve.', labels: NO_LABELS },
  viaduct_open_files: { type: 'gauge', help: 'Descriptors of all processes that serve.', labels: NO_LABELS },
  viaduct_open_files_ratio: {
    type: 'gauge',
    help: 'Descriptors as a part of what a process may have, in the process where that is most.',
    labels: NO_LABELS,
  },
  process_start_time_seconds: {
    type: 'gauge',
    help: 'When the process that answers began, in seconds since 1970.',
    labels: NO_LABELS,
  },
  process_resident_memory_bytes: {
    type: 'gauge',
    help: 'Resident memory of the process that answers.',
    labels: NO_LABELS,
  },
  process_cpu_seconds_total: { type: 'counter', help: 'CPU time of the process that answers.', labels: NO_LABELS },
} as const satisfies Readonly<Record<string, MetricTerms>>;

export type MetricName = keyof typeof METRICS;
