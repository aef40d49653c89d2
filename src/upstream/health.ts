import type { Clock } from '../core/clock.ts';
import type { Observe, RouteHealth } from '../core/contracts.ts';
import { asProxyError, type FailureCode, ProxyError } from '../core/failure.ts';
import type { Hops, Route } from '../core/stages.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import type { Probe } from './probe.ts';

/** How long a proxy sits out that never answers a probe; what Chromium does, and then it gets another chance. */
const SITS_OUT_MS = 300_000;
/** A proxy that restarts is back within seconds. The pace doubles from here, so that a dead one costs next to nothing. */
const FIRST_PROBE_MS = 1_000;
const PROBE_EVERY_MAX_MS = 30_000;
/** How long a probe waits for its answer; a proxy that takes longer is of no use to a request either. */
const PROBE_MS = 5_000;
/** One that answers probes but fails requests keeps its slower pace, when it fails again within this time. */
const RELAPSE_MS = 60_000;
/** Proxies and chains that something is known about; a PAC can name any number. The oldest is forgotten first. */
const PROXIES_MAX = 256;

interface Known {
  /** As they were named last: a probe says what requests say now. */
  hops: Hops;
  readonly name: string;
  heardMs: number;
  service: { readonly at: 'in'; readonly sinceMs: number } | Out;
  /** Until the next probe, while it sits out. */
  paceMs: number;
  probe: { readonly abort: AbortController; readonly limit: Disposable } | undefined;
}
interface Out {
  readonly at: 'out';
  readonly untilMs: number;
  timer: Disposable | undefined;
}

export interface HealthOptions {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly probe: Probe;
}

/** What is known about proxies: who sits out, and when each was last heard. One for all requests; outlives reloads. */
export class ProxyHealth implements RouteHealth, Disposable {
  readonly #options: HealthOptions;
  readonly #known = new Map<string, Known>();
  #generation = 0;
  #isOver = false;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  sitsOutUntilMs(hops: Hops): number | undefined {
    const service = this.#known.get(nameOf(hops))?.service;
    return service?.at === 'out' ? service.untilMs : undefined;
  }

  /** When it last said something, on the proxy's clock; -Infinity when it never did. */
  heardMs(hops: Hops): number {
    return this.#known.get(nameOf(hops))?.heardMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Those in service as they were, then those that sit out: when all do, the first is the first again. Each once. */
  inOrder(routes: readonly Route[]): readonly Route[] {
    if (routes.length < 2) return routes;
    const seen = new Set<string>();
    const inService: Route[] = [];
    const out: Route[] = [];
    for (const route of routes) {
      const name = route.via === 'direct' ? '' : nameOf(route.hops);
      const way = route.via === 'direct' ? '' : `${name} ${loginsOf(route.hops)}`;
      if (seen.has(way)) continue;
      seen.add(way);
      const isOut = this.#known.get(name)?.service.at === 'out';
      (isOut ? out : inService).push(route);
    }
    return [...inService, ...out];
  }

  answered(hops: Hops): void {
    if (this.#isOver) return;
    this.#heard(this.#know(hops), 'it answers');
  }

  failed(hops: Hops, why: FailureCode, generation: number): void {
    if (this.#isOver || generation !== this.#generation) return;
    const proxy = this.#know(hops);
    if (proxy.service.at === 'out') return;
    const { clock, observe } = this.#options;
    const nowMs = clock.now();
    if (nowMs - proxy.service.sinceMs > RELAPSE_MS) proxy.paceMs = FIRST_PROBE_MS;
    const out: Out = { at: 'out', untilMs: nowMs + SITS_OUT_MS, timer: undefined };
    proxy.service = out;
    this.#plan(proxy, out);
    const untilMs = clock.wallMs() + SITS_OUT_MS;
    observe({ type: 'health', proxy: proxy.name, untilMs });
    const until = new Date(untilMs).toTimeString().slice(0, 8);
    const message = `the upstream proxy ${proxy.name} failed (${why}); it sits out until ${until}, or until it answers`;
    observe({ type: 'notice', level: 'warn', message });
  }

  /** Asks a proxy now whether it is alive, unless that is being done; the answer shows in `heardMs`. */
  ask(hops: Hops): void {
    if (this.#isOver) return;
    const proxy = this.#know(hops);
    if (proxy.probe === undefined) void this.#ask(proxy);
  }

  /** Another network: nothing of what was known holds any more. */
  renew(): void {
    this.#generation += 1;
    for (const name of this.#known.keys()) this.#forget(name);
  }

  /** Stops every probe and timer; what is reported afterwards is ignored. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.renew();
  }

  #know(hops: Hops): Known {
    const name = nameOf(hops);
    const found = this.#known.get(name);
    if (found !== undefined) {
      found.hops = hops;
      return found;
    }
    if (this.#known.size >= PROXIES_MAX) {
      const [oldest] = this.#known.keys();
      if (oldest !== undefined) this.#forget(oldest);
    }
    const never = Number.NEGATIVE_INFINITY;
    const service = { at: 'in', sinceMs: never } as const;
    const proxy: Known = { hops, name, heardMs: never, service, paceMs: FIRST_PROBE_MS, probe: undefined };
    this.#known.set(name, proxy);
    return proxy;
  }

  #forget(name: string): void {
    const proxy = this.#known.get(name);
    this.#known.delete(name);
    if (proxy?.service.at === 'out') {
      proxy.service.timer?.[Symbol.dispose]();
      this.#options.observe({ type: 'health', proxy: name, untilMs: undefined });
    }
    proxy?.probe?.limit[Symbol.dispose]();
    proxy?.probe?.abort.abort(new ProxyError('parent_silent', 'nobody wants to know any more'));
  }

  #heard(proxy: Known, how: string): void {
    proxy.heardMs = this.#options.clock.now();
    if (proxy.service.at === 'out') this.#back(proxy, proxy.service, how);
  }

  #back(proxy: Known, out: Out, why: string): void {
    out.timer?.[Symbol.dispose]();
    proxy.service = { at: 'in', sinceMs: this.#options.clock.now() };
    const { observe } = this.#options;
    observe({ type: 'health', proxy: proxy.name, untilMs: undefined });
    const message = `the upstream proxy ${proxy.name} is back in service: ${why}`;
    observe({ type: 'notice', level: 'info', message });
  }

  /** The next probe, or the end of the time. */
  #plan(proxy: Known, out: Out): void {
    const { clock } = this.#options;
    const leftMs = out.untilMs - clock.now();
    const inMs = Math.min(proxy.paceMs, leftMs);
    proxy.paceMs = Math.min(proxy.paceMs * 2, PROBE_EVERY_MAX_MS);
    out.timer?.[Symbol.dispose]();
    out.timer = clock.after(inMs, () => {
      out.timer = undefined;
      if (inMs === leftMs) this.#back(proxy, out, 'it has sat out its time');
      else if (proxy.probe === undefined) void this.#ask(proxy);
    });
  }

  async #ask(proxy: Known): Promise<void> {
    const { clock, probe } = this.#options;
    const generation = this.#generation;
    const startedMs = clock.now();
    const abort = new AbortController();
    const limit = clock.after(PROBE_MS, () => abort.abort(new ProxyError('parent_silent', 'no answer to a probe')));
    proxy.probe = { abort, limit };
    let failure: FailureCode | undefined;
    try {
      await probe(proxy.hops, abort.signal);
    } catch (error) {
      failure = asProxyError(error).code;
    }
    limit[Symbol.dispose]();
    proxy.probe = undefined;
    if (this.#known.get(proxy.name) !== proxy) return;
    if (failure === undefined) this.#heard(proxy, 'it answers');
    else if (proxy.service.at === 'out') this.#plan(proxy, proxy.service);
    else if (isProxysFault(failure) && proxy.heardMs <= startedMs) this.failed(proxy.hops, failure, generation);
  }
}

/** Failures of a proxy itself, whatever the target; a target that cannot be reached through it is another matter. */
const FAULTS: ReadonlySet<FailureCode> = new Set([
  'dns_failed',
  'dns_timeout',
  'refused',
  'unroutable',
  'connect_timeout',
  'connect_failed',
  'tls_failed',
  'certificate_rejected',
  'parent_protocol',
  'parent_silent',
] as const);
export const isProxysFault = (code: FailureCode): boolean => FAULTS.has(code);

/** What two routes have in common that fail together. */
export function nameOf(hops: Hops): string {
  const [first, ...more] = hops;
  return more.length === 0 ? formatHop(first) : hops.map(formatHop).join(' > ');
}

/** What tells two accounts at one proxy apart: they fail together, and each is a way of its own. */
const loginsOf = (hops: Hops): string =>
  JSON.stringify(hops.map(({ login }) => login && [login.user, login.password.reveal()]));
