import type { FailureCode } from '../../contracts/failure.ts';
import type { RouteHealth } from '../../contracts/routing.ts';
import type { Hops, Route } from '../../contracts/stages.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import { LruMap } from '../../util/lru-map.ts';
import { type HealthOptions, type ProxyHabits, ProxyHealthState } from './proxy-health-state.ts';

/** Proxies and chains that something is known about; a PAC can name any number. The oldest is forgotten first. */
const PROXIES_MAX = 256;

/** What is known of one upstream proxy, or of a chain. */
export interface ProxyHealthSummary {
  readonly name: string;
  /** `undefined`: it is up. */
  readonly downUntilMs: number | undefined;
  /** When it last responded; `undefined`: never. */
  readonly lastSeenMs: number | undefined;
  readonly lastFailure: FailureCode | undefined;
  /** How long the last connections to its first proxy took, the latest last. */
  readonly latencyMs: readonly number[];
}

/** What is known about upstream proxies: which are down, and when each last responded. One for all requests; outlives reloads. */
export class ProxyHealth implements RouteHealth, Disposable {
  readonly #options: HealthOptions;
  readonly #proxies = new LruMap<string, ProxyHealthState>(PROXIES_MAX, (proxy) => proxy[Symbol.dispose]());
  #generation = 0;
  #isOver = false;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  downUntilMs(hops: Hops): number | undefined {
    return this.#proxies.peek(nameOf(hops))?.downUntilMs;
  }

  /** When it last responded, on the clock of the process; -Infinity when it never did. */
  lastSeenMs(hops: Hops): number {
    return this.#proxies.peek(nameOf(hops))?.lastSeenMs ?? Number.NEGATIVE_INFINITY;
  }

  /** All that something is known of, for the dashboard; times on the clock of the process. */
  describe(): ProxyHealthSummary[] {
    return [...this.#proxies.keys()].flatMap((name) => {
      const proxy = this.#proxies.peek(name);
      if (proxy === undefined) return [];
      const { downUntilMs, lastSeenMs, lastFailure, latencyMs } = proxy;
      const seenMs = Number.isFinite(lastSeenMs) ? lastSeenMs : undefined;
      return [{ name, downUntilMs, lastSeenMs: seenMs, lastFailure, latencyMs }];
    });
  }

  /** All that something is known of. */
  *known(): Iterable<Hops> {
    for (const name of this.#proxies.keys()) {
      const proxy = this.#proxies.peek(name);
      if (proxy !== undefined) yield proxy.hops;
    }
  }

  /** Routes that are up as they were, then those that are down: when all are, the first is the first again. Each once. */
  byHealth(routes: readonly Route[]): readonly Route[] {
    if (routes.length < 2) return routes;
    const seen = new Set<string>();
    const up: Route[] = [];
    const down: Route[] = [];
    for (const route of routes) {
      const name = route.via === 'direct' ? '' : nameOf(route.hops);
      const key = route.via === 'direct' ? '' : `${name} ${loginsOf(route.hops)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      (this.#proxies.peek(name)?.isDown ? down : up).push(route);
    }
    return [...up, ...down];
  }

  connected(hops: Hops, ms: number): void {
    if (!this.#isOver) this.#getOrCreate(hops).connected(ms);
  }

  /** It has responded to a request. */
  responded(hops: Hops): void {
    if (!this.#isOver) this.#getOrCreate(hops).responded();
  }

  /** Whether its silence to probes says that it is down: not if it has responded to requests, and never a probe. */
  isJudgedByProbes(hops: Hops): boolean {
    return this.#proxies.peek(nameOf(hops))?.isJudgedByProbes ?? true;
  }

  /** Whether it has never responded. */
  isUnknown(hops: Hops): boolean {
    return this.#proxies.peek(nameOf(hops))?.isUnknown ?? true;
  }

  /** Learns whether it responds to probes, while it is up: later its silence to one will mean more. */
  learn(hops: Hops): void {
    if (!this.#isOver) this.#getOrCreate(hops).learn();
  }

  /**
   * Whether it is down, when its response was missing or no HTTP: that may have been the target's doing, and then the
   * proxy responds to a probe. A proxy that does not is marked down.
   */
  async examine(hops: Hops): Promise<'up' | 'down'> {
    if (this.#isOver) return 'down';
    const proxy = this.#getOrCreate(hops);
    if (proxy.isJudgedByProbes) await proxy.probe();
    return proxy.isDown ? 'down' : 'up';
  }

  /** A request failed by its fault, in the network of that generation. */
  failed(hops: Hops, why: FailureCode, generation: number): void {
    if (!this.#isOver && generation === this.#generation) this.#getOrCreate(hops).failed(why);
  }

  /** Probes a proxy now, unless a probe runs; the result shows in `lastSeenMs`. */
  probe(hops: Hops): void {
    if (!this.#isOver) void this.#getOrCreate(hops).probe();
  }

  /** Another network: which proxies are up there is not known. What a proxy responds to at all stays known. */
  renew(): void {
    this.#generation += 1;
    for (const name of [...this.#proxies.keys()]) {
      const proxy = this.#forget(name);
      if (!this.#isOver && proxy?.habits.hasServed) this.#getOrCreate(proxy.hops, proxy.habits);
    }
  }

  /** Stops every probe and timer; what is reported afterwards is ignored. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.renew();
  }

  #getOrCreate(hops: Hops, habits?: ProxyHabits): ProxyHealthState {
    const name = nameOf(hops);
    const found = this.#proxies.peek(name);
    if (found !== undefined) {
      found.hops = hops;
      return found;
    }
    const proxy = new ProxyHealthState(name, hops, this.#options, habits);
    this.#proxies.set(name, proxy);
    return proxy;
  }

  #forget(name: string): ProxyHealthState | undefined {
    const proxy = this.#proxies.peek(name);
    this.#proxies.delete(name);
    proxy?.[Symbol.dispose]();
    return proxy;
  }
}

/** What two routes have in common that fail together. */
export function nameOf(hops: Hops): string {
  const [first, ...more] = hops;
  return more.length === 0 ? formatHop(first) : hops.map(formatHop).join(' > ');
}

/** What tells two accounts at one proxy apart: they fail together, and each is a route of its own. */
const loginsOf = (hops: Hops): string =>
  JSON.stringify(hops.map(({ login }) => login && [login.user, login.password.reveal()]));
