import type { ControlledProxy } from '../admin/controlled-proxy.ts';
import type { Config } from '../config/config.ts';
import type { LoopDelay } from '../observe/loop-delay.ts';
import type { RequestCounts } from '../observe/request-counter.ts';
import type { RequestSteps } from '../observe/request-steps.ts';
import type { TrafficTotals } from '../observe/traffic-totals.ts';
import { activeRelay } from '../relay/choose-relay.ts';
import type { RunningProxy } from './running-proxy.ts';

/** The number of this process where there is only one. */
const ONLY = 0;

/** What is measured of a process besides its requests. */
export interface Measured {
  readonly counts: RequestCounts;
  readonly delay: LoopDelay;
  readonly totals: TrafficTotals;
  readonly steps: RequestSteps;
}

/** A proxy of this process, as the admin server sees it. */
export function controlledHere(
  proxy: RunningProxy,
  { name, relay }: Config,
  { counts, delay, totals, steps }: Measured,
): ControlledProxy {
  const { sessions } = proxy;
  totals.follow(() => sessions.snapshot());
  return {
    name,
    workers: 1,
    relay: activeRelay(relay),
    get urls() {
      return proxy.urls;
    },
    get open() {
      return proxy.open;
    },
    look: (after) => ({
      live: sessions.snapshot(),
      ended: after === 'live' ? [] : sessions.endedAfter(after?.get(ONLY) ?? 0),
      cursor: new Map([[ONLY, sessions.endedCount]]),
      counts,
      loopDelayMs: delay.readMs(),
    }),
    end: (ids, reason) => sessions.endAll(new Set(ids), reason),
    measure: () => proxy.measure(),
    limits: () => proxy.limits(),
    get limitStore() {
      return proxy.limitStore;
    },
    ways: async () => proxy.ways(),
    why: (question) => proxy.why(question),
    setRate: (limit, rate) => proxy.setRate(limit, rate),
    accounts: () => proxy.accounts(),
    get rules() {
      return proxy.rules;
    },
    steps: (id) => steps.of(id),
    totals: (by, window) => totals.read(by, window),
    get modes() {
      return proxy.modes();
    },
    setMode: (mode, untilMs) => proxy.setMode(mode, untilMs),
  };
}
