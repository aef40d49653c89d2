import type { DialScope } from '../contracts/dialing.ts';
import { asProxyError, FAILURES, type FailureCode, isVerdictOnTarget, ProxyError } from '../contracts/failure.ts';
import type { Route } from '../contracts/stages.ts';
import type { Clock } from '../util/clock.ts';
import type { ProxyHealth } from './health/proxy-health.ts';
import { failureOfAll, nameProxy, reportFailure } from './route-failure.ts';
import { timingConnections } from './timing-connections.ts';

/** How long a proxy may be silent to all requests before the next route begins beside it. */
export const STAGGER_MS = 1_000;
/** So long before that it is probed: if the proxy answers the probe, its target is slow, and not the proxy. */
const PROBE_LEAD_MS = 500;
/** A wait that has become long already grants more silence, so that a long poll is not a probe a second. */
const SILENCE_SHARE = 0.1;
/** A timer that is so late means a busy or suspended machine, and not silence: responses may lie unread. */
const LATE_MS = 200;
/** What is unread is read within this time, once the machine has caught up. */
const CATCH_UP_MS = 50;
/** Attempts of one request that go on at the same time. */
const PENDING_MAX = 4;

/**
 * Tries one route. A value that comes too late is disposed. `proxyResponded` is called when only the target keeps the
 * request waiting: no other route begins beside it from then on.
 */
export type RouteAttempt<T> = (route: Route, within: DialScope, proxyResponded: () => void) => Promise<T>;
export interface RouteResult<T> {
  readonly route: Route;
  readonly value: T;
}

interface Attempt {
  readonly route: Route;
  readonly abort: AbortController;
  readonly startedMs: number;
  readonly generation: number;
  /** Only the target keeps it waiting, or its proxy has responded with 407: no other route begins beside it. */
  proxyResponded: boolean;
  /** Its proxy has responded with 407: no other route serves this request. */
  isCommitted: boolean;
  /** Its first hop, or the target, has accepted the connection. */
  isConnected: boolean;
  outcome: 'pending' | 'won' | ProxyError;
}

/** The attempts of one request, each a little after the one before, or at once when that one has failed. */
export class Attempts<T extends Disposable> {
  readonly result: Promise<RouteResult<T>>;
  readonly #attempts: Attempt[] = [];
  readonly #waiting: Route[];
  readonly #within: DialScope;
  readonly #attempt: RouteAttempt<T>;
  readonly #health: ProxyHealth;
  readonly #clock: Clock;
  readonly #resolve: (won: RouteResult<T>) => void;
  readonly #reject: (reason: unknown) => void;
  #timer: Disposable | undefined;
  #isOver = false;

  constructor(
    routes: readonly Route[],
    within: DialScope,
    attempt: RouteAttempt<T>,
    health: ProxyHealth,
    clock: Clock,
  ) {
    ({ promise: this.result, resolve: this.#resolve, reject: this.#reject } = Promise.withResolvers<RouteResult<T>>());
    this.#waiting = [...routes];
    this.#within = within;
    this.#attempt = attempt;
    this.#health = health;
    this.#clock = clock;
    within.signal.addEventListener('abort', this.#onAbort);
    this.#begin();
  }

  get #pending(): readonly Attempt[] {
    return this.#attempts.filter(({ outcome }) => outcome === 'pending');
  }

  /** Begins the next route, if there is one and not too many are tried already. */
  #begin(): void {
    const route = this.#pending.length < PENDING_MAX ? this.#waiting.shift() : undefined;
    if (route === undefined) return;
    const attempt: Attempt = {
      route,
      abort: new AbortController(),
      startedMs: this.#clock.now(),
      generation: this.#health.generation,
      proxyResponded: false,
      isCommitted: false,
      isConnected: false,
      outcome: 'pending',
    };
    this.#attempts.push(attempt);
    void this.#run(attempt);
    this.#check();
  }

  async #run(attempt: Attempt): Promise<void> {
    const { observe } = this.#within;
    const { route } = attempt;
    const timed = route.via === 'direct' ? observe : timingConnections(route.hops, this.#health, observe);
    const within: DialScope = {
      ...this.#within,
      signal: attempt.abort.signal,
      observe: (event) => {
        if (event.type === 'connected') attempt.isConnected = true;
        timed(event);
      },
      commit: () => this.#commit(attempt),
    };
    try {
      const value = await this.#attempt(attempt.route, within, () => {
        attempt.proxyResponded = true;
      });
      this.#succeeded(attempt, value);
    } catch (error) {
      if (!this.#isOver) await this.#failed(attempt, asProxyError(error));
    }
  }

  /** A proxy that responds with 407 is alive, and policy has sent the request there: no later route goes past its login. */
  #commit(attempt: Attempt): void {
    if (this.#isOver || attempt.isCommitted) return;
    attempt.isCommitted = true;
    attempt.proxyResponded = true;
    if (attempt.route.via === 'proxies') this.#health.responded(attempt.route.hops);
    this.#waiting.length = 0;
    const at = this.#attempts.indexOf(attempt);
    for (const later of this.#attempts.slice(at + 1)) {
      if (later.outcome !== 'pending') continue;
      later.outcome = OTHER_ROUTE;
      later.abort.abort(OTHER_ROUTE);
    }
  }

  #succeeded(attempt: Attempt, value: T): void {
    // Two may succeed in the same tick, or another proxy may have answered 407 meanwhile: this one came too late.
    if (this.#isOver || attempt.outcome !== 'pending') return value[Symbol.dispose]();
    attempt.outcome = 'won';
    if (attempt.route.via === 'proxies') this.#health.learn(attempt.route.hops);
    for (const other of this.#pending) if (this.#silentMs(other) >= STAGGER_MS) this.#supersede(other);
    this.#finish(() => this.#resolve({ route: attempt.route, value }));
  }

  /** Its proxy was silent to all requests while another route responded. */
  #supersede({ route, generation, startedMs }: Attempt): void {
    const reason = route.via === 'direct' ? 'connect_timeout' : 'upstream_timeout';
    if (route.via === 'proxies') this.#health.failed(route.hops, reason, generation);
    this.#reportFailure(route, reason, startedMs);
  }

  async #failed(attempt: Attempt, failure: ProxyError): Promise<void> {
    const { route } = attempt;
    if (attempt.outcome !== 'pending') return;
    // A proxy that answered other requests meanwhile is not dead: its target took all the time.
    attempt.proxyResponded ||= failure.code === 'upstream_timeout' && this.#silentMs(attempt) < this.#graceMs;
    if (!attempt.proxyResponded && route.via === 'proxies' && FAILURES[failure.code].retry === 'if-proxy-is-down') {
      // While that is not known no other route begins beside it.
      attempt.proxyResponded = true;
      attempt.proxyResponded = (await this.#health.examine(route.hops)) === 'up';
      if (this.#isOver) return;
    }
    attempt.outcome = failure;
    if (!attempt.proxyResponded) reportFailure(route, failure, attempt.generation, this.#health);
    this.#continue(attempt, failure);
  }

  /** The next route begins, or the request ends with a failure. */
  #continue({ route, startedMs }: Attempt, failure: ProxyError): void {
    const pending = this.#pending;
    // Of those that could still answer the first one decides: a later route must not overrule it.
    const first = this.#attempts.find((one) => !(one.outcome instanceof ProxyError) || isFinal(one, one.outcome));
    if (first?.outcome instanceof ProxyError) return this.#end(first.route, first.outcome);
    // A proxy that answers has reported what became of the target: proxies that are silent would report the same.
    const isVerdict = isVerdictOnTarget(failure.code) && pending.every((one) => this.#silentMs(one) >= STAGGER_MS);
    if (isVerdict) {
      for (const silent of pending) this.#supersede(silent);
      return this.#end(route, failure);
    }
    if (pending.length === 0 && this.#waiting.length === 0) return this.#endAll();
    this.#reportFailure(route, failure.code, startedMs);
    this.#begin();
  }

  #reportFailure(route: Route, reason: FailureCode, startedMs: number): void {
    const { id, observe } = this.#within;
    observe({ type: 'route-failed', id, route, reason, ms: this.#clock.now() - startedMs });
  }

  /** For how long no request has had a response from what the attempt waits for. */
  #silentMs({ route, startedMs, proxyResponded }: Attempt): number {
    const isJudged = route.via === 'direct' || this.#health.isJudgedByProbes(route.hops);
    if (proxyResponded || !isJudged) return Number.NEGATIVE_INFINITY;
    const lastSeenMs = route.via === 'direct' ? startedMs : Math.max(startedMs, this.#health.lastSeenMs(route.hops));
    return this.#clock.now() - lastSeenMs;
  }

  /** How much silence of all attempts is too much by now. */
  get #graceMs(): number {
    const waitedMs = this.#clock.now() - (this.#attempts[0]?.startedMs ?? 0);
    return Math.max(STAGGER_MS, waitedMs * SILENCE_SHARE);
  }

  /** Begins the next route when all pending ones have been silent for too long, and probes them in time before that. */
  #check(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const pending = this.#pending;
    if (pending.length === 0 || this.#waiting.length === 0) return;
    const silentMs = Math.min(...pending.map((one) => this.#silentMs(one)));
    if (silentMs < 0) return;
    const graceMs = this.#graceMs;
    if (silentMs >= graceMs) return this.#begin();
    if (silentMs < graceMs - PROBE_LEAD_MS) return this.#checkIn(graceMs - PROBE_LEAD_MS - silentMs);
    for (const attempt of pending) this.#probe(attempt);
    this.#checkIn(graceMs - silentMs);
  }

  /**
   * Probes the proxy. One that has accepted the connection and has never responded before may read requests: nothing goes
   * direct beside it before it has missed the probe.
   */
  #probe(attempt: Attempt): void {
    const { route, isConnected } = attempt;
    if (route.via === 'direct') return;
    const mayReadRequests = isConnected && this.#health.isUnknown(route.hops);
    if (!mayReadRequests || this.#waiting[0]?.via !== 'direct') return this.#health.probe(route.hops);
    attempt.proxyResponded = true;
    void this.#health.examine(route.hops).then((state) => {
      if (this.#isOver || attempt.outcome !== 'pending' || attempt.isCommitted || state === 'up') return;
      attempt.proxyResponded = false;
      this.#begin();
    });
  }

  #checkIn(delayMs: number): void {
    // Whole milliseconds, as timers have them: a check that is early by a fraction would check again and again.
    const wholeMs = Math.ceil(delayMs);
    const dueMs = this.#clock.now() + wholeMs;
    this.#timer = this.#clock.after(wholeMs, () => {
      if (this.#clock.now() - dueMs <= LATE_MS) return this.#check();
      // Once: on a machine that is always so late the next route would never begin.
      this.#timer = this.#clock.after(CATCH_UP_MS, () => this.#check());
    });
  }

  #end(route: Route, failure: ProxyError): void {
    this.#finish(() => this.#reject(nameProxy(route, failure)));
  }

  #endAll(): void {
    const all = this.#attempts.flatMap(({ route, outcome }) =>
      outcome instanceof ProxyError ? [{ route, failure: outcome }] : [],
    );
    this.#finish(() => this.#reject(failureOfAll(all)));
  }

  readonly #onAbort = (): void => {
    const { reason } = this.#within.signal;
    this.#finish(() => this.#reject(reason), reason);
  };

  #finish(settle: () => void, reason: unknown = OTHER_ROUTE): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    this.#within.signal.removeEventListener('abort', this.#onAbort);
    settle();
    for (const { abort } of this.#pending) abort.abort(reason);
  }
}

/** Why an attempt is aborted whose response no request waits for any more. */
const OTHER_ROUTE: ProxyError = new ProxyError('upstream_timeout', 'another route has responded');

const isFinal = ({ proxyResponded, isCommitted }: Attempt, { code }: ProxyError): boolean => {
  const { retry } = FAILURES[code];
  return isCommitted || retry === 'never' || (proxyResponded && retry === 'if-proxy-is-down');
};
