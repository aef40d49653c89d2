/** What one process uses, or several together, and what of it belongs to no request. */
export interface ProcessMeasures {
  readonly heapUsedBytes: number;
  readonly heapLimitBytes: number;
  readonly residentBytes: number;
  readonly cpuSeconds: number;
  /** Descriptors; `undefined` where the system does not report them, which is everywhere but on Linux. */
  readonly openFiles: number | undefined;
  /** Descriptors as a part of what the process may have; of several, where that is most. */
  readonly openFilesRatio: number | undefined;
  readonly sockets: Readonly<Record<SocketKind, number>>;
  readonly relayTunnels: Readonly<Record<'native' | 'portable', number>>;
  readonly timers: number;
  /** Since the last measure; of several processes, of the busiest. */
  readonly loopDelayMeanMs: number;
  readonly loopDelayMaxMs: number;
  readonly unaccounted: Unaccounted;
}

/** `node`: of Node; `addon`: in the addon's epoll set; `relay`: on its relay thread. */
export type SocketKind = 'node' | 'addon' | 'relay';

/** What is open without belonging to a request in progress or to a part of the proxy: each of them should be 0. */
export interface Unaccounted {
  /** Permits that no request in progress holds. */
  readonly permits: number;
  /** Holds of buckets that belong to no such permit. */
  readonly buckets: number;
  /** Connections to targets and proxies that no request in progress, no probe and no pool has. */
  readonly connections: number;
  /** Open sockets beyond those that listeners, clients and dialled connections have. */
  readonly descriptors: number;
  /** Timers beyond those that the proxy and its requests in progress can have. */
  readonly timers: number;
}

const ALL_ACCOUNTED: Unaccounted = { permits: 0, buckets: 0, connections: 0, descriptors: 0, timers: 0 };

/** For each of them what `pick` gives for both. */
export const combined = (
  one: Unaccounted,
  other: Unaccounted,
  pick: (a: number, b: number) => number,
): Unaccounted => ({
  permits: pick(one.permits, other.permits),
  buckets: pick(one.buckets, other.buckets),
  connections: pick(one.connections, other.connections),
  descriptors: pick(one.descriptors, other.descriptors),
  timers: pick(one.timers, other.timers),
});

/** Of no process. */
export const NOTHING_MEASURED: ProcessMeasures = {
  heapUsedBytes: 0,
  heapLimitBytes: 0,
  residentBytes: 0,
  cpuSeconds: 0,
  openFiles: undefined,
  openFilesRatio: undefined,
  sockets: { node: 0, addon: 0, relay: 0 },
  relayTunnels: { native: 0, portable: 0 },
  timers: 0,
  loopDelayMeanMs: 0,
  loopDelayMaxMs: 0,
  unaccounted: ALL_ACCOUNTED,
};

/** Several processes together. */
export const sumOfMeasures = (all: readonly ProcessMeasures[]): ProcessMeasures => all.reduce(plus, NOTHING_MEASURED);

const add = (a: number, b: number): number => a + b;
const known = (a: number | undefined, b: number | undefined, of: (a: number, b: number) => number) =>
  a === undefined || b === undefined ? (a ?? b) : of(a, b);

const plus = (one: ProcessMeasures, other: ProcessMeasures): ProcessMeasures => ({
  heapUsedBytes: one.heapUsedBytes + other.heapUsedBytes,
  heapLimitBytes: one.heapLimitBytes + other.heapLimitBytes,
  residentBytes: one.residentBytes + other.residentBytes,
  cpuSeconds: one.cpuSeconds + other.cpuSeconds,
  openFiles: known(one.openFiles, other.openFiles, add),
  openFilesRatio: known(one.openFilesRatio, other.openFilesRatio, Math.max),
  sockets: {
    node: one.sockets.node + other.sockets.node,
    addon: one.sockets.addon + other.sockets.addon,
    relay: one.sockets.relay + other.sockets.relay,
  },
  relayTunnels: {
    native: one.relayTunnels.native + other.relayTunnels.native,
    portable: one.relayTunnels.portable + other.relayTunnels.portable,
  },
  timers: one.timers + other.timers,
  loopDelayMeanMs: Math.max(one.loopDelayMeanMs, other.loopDelayMeanMs),
  loopDelayMaxMs: Math.max(one.loopDelayMaxMs, other.loopDelayMaxMs),
  unaccounted: combined(one.unaccounted, other.unaccounted, add),
});
