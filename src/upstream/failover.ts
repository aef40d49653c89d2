import type { Clock } from '../core/clock.ts';
import type { DialScope } from '../core/contracts.ts';
import { asProxyError, FAILURES, type FailureCode, ProxyError } from '../core/failure.ts';
import type { Route } from '../core/stages.ts';
import { isProxysFault, nameOf, type ProxyHealth } from './health.ts';

/** How long a proxy may be silent to everybody before the next route begins beside it. */
export const STAGGER_MS = 1_000;
/** So long before that it is asked for a sign of life: a proxy that gives one is not slow, its target is. */
const ASK_MS = 500;
/** A wait that has become long already grants more silence, so that a long poll is not a probe a second. */
const SILENCE_SHARE = 0.1;
/** A timer that is so late tells of a busy or sleeping machine, and not of silence: answers may lie unread. */
const LATE_MS = 200;
/** What is unread is read within this time, once the machine has time again. */
const CATCH_UP_MS = 50;
/** Attempts of one request that go on at the same time. */
const PENDING_MAX = 4;

/**
 * Tries one route. Whatever it resolves with is disposed when it comes too late. `isTargets` is called when the rest of
 * the wait is the target's alone: no other route begins beside it from then on.
 */
export type Try<T> = (route: Route, within: DialScope, isTargets: () => void) => Promise<T>;
export interface Won<T> {
  readonly route: Route;
  readonly value: T;
}

/** Tries routes until one succeeds: the request that meets a dead proxy succeeds by the next one. */
export class Failover {
  readonly health: ProxyHealth;
  readonly #clock: Clock;

  constructor(health: ProxyHealth, clock: Clock) {
    this.health = health;
    this.#clock = clock;
  }

  /** Rejects with the failure of the route that was tried first; its detail tells about the others. */
  first<T extends Disposable>(routes: readonly Route[], within: DialScope, attempt: Try<T>): Promise<Won<T>> {
    const ordered = this.health.inOrder(routes);
    const [best] = ordered;
    if (best === undefined) return Promise.reject(new ProxyError('no_route', 'there is no route'));
    if (within.signal.aborted) return Promise.reject(within.signal.reason);
    if (ordered.length === 1) return this.#only(best, within, attempt);
    return new Attempts(ordered, within, attempt, this.health, this.#clock).result;
  }

  /** There is nothing to fall back on: no timer, no signal. */
  async #only<T>(route: Route, within: DialScope, attempt: Try<T>): Promise<Won<T>> {
    const { generation } = this.health;
    try {
      return { route, value: await attempt(route, within, () => undefined) };
    } catch (error) {
      const failure = asProxyError(error);
      report(route, failure, generation, this.health);
      throw naming(route, failure);
    }
  }
}

interface Attempt {
  readonly route: Route;
  readonly abort: AbortController;
  readonly startedMs: number;
  readonly generation: number;
  isTargets: boolean;
  outcome: 'pending' | 'won' | ProxyError;
}

/** The attempts of one request, each a little after the one before, or at once when that one has failed. */
class Attempts<T extends Disposable> {
  readonly result: Promise<Won<T>>;
  readonly #attempts: Attempt[] = [];
  readonly #waiting: Route[];
  readonly #within: DialScope;
  readonly #try: Try<T>;
  readonly #health: ProxyHealth;
  readonly #clock: Clock;
  readonly #resolve: (won: Won<T>) => void;
  readonly #reject: (reason: unknown) => void;
  #timer: Disposable | undefined;
  #isOver = false;

  constructor(routes: readonly Route[], within: DialScope, attempt: Try<T>, health: ProxyHealth, clock: Clock) {
    ({ promise: this.result, resolve: this.#resolve, reject: this.#reject } = Promise.withResolvers<Won<T>>());
    this.#waiting = [...routes];
    this.#within = within;
    this.#try = attempt;
    this.#health = health;
    this.#clock = clock;
    within.signal.addEventListener('abort', this.#onAbort);
    this.#begin();
  }

  get #pending(): readonly Attempt[] {
    return this.#attempts.filter(({ outcome }) => outcome === 'pending');
  }

  /** The next route's turn, if there is one and not too many are at it. */
  #begin(): void {
    const route = this.#pending.length < PENDING_MAX ? this.#waiting.shift() : undefined;
    if (route === undefined) return;
    const attempt: Attempt = {
      route,
      abort: new AbortController(),
      startedMs: this.#clock.now(),
      generation: this.#health.generation,
      isTargets: false,
      outcome: 'pending',
    };
    this.#attempts.push(attempt);
    void this.#run(attempt);
    this.#look();
  }

  async #run(attempt: Attempt): Promise<void> {
    const within = { ...this.#within, signal: attempt.abort.signal };
    try {
      const value = await this.#try(attempt.route, within, () => {
        attempt.isTargets = true;
      });
      this.#succeeded(attempt, value);
    } catch (error) {
      if (!this.#isOver) this.#failed(attempt, asProxyError(error));
    }
  }

  #succeeded(attempt: Attempt, value: T): void {
    // Two may succeed in the same turn: nobody waits for the second any more.
    if (this.#isOver) return value[Symbol.dispose]();
    attempt.outcome = 'won';
    for (const other of this.#pending) if (this.#silentMs(other) >= STAGGER_MS) this.#lost(other);
    this.#finish(() => this.#resolve({ route: attempt.route, value }));
  }

  /** It was silent to everybody while another route answered. */
  #lost({ route, generation, startedMs }: Attempt): void {
    const reason = route.via === 'direct' ? 'connect_timeout' : 'parent_silent';
    if (route.via === 'proxies') this.#health.failed(route.hops, reason, generation);
    this.#tell(route, reason, startedMs);
  }

  #failed(attempt: Attempt, failure: ProxyError): void {
    const { route, startedMs } = attempt;
    // A proxy that answered others meanwhile is not dead: its target took all the time there was.
    attempt.isTargets ||= failure.code === 'parent_silent' && this.#silentMs(attempt) < this.#graceMs;
    attempt.outcome = failure;
    if (!attempt.isTargets) report(route, failure, attempt.generation, this.#health);
    const pending = this.#pending;
    // Of those that could still answer the first one decides: a later route must not overrule it.
    const first = this.#attempts.find((one) => !(one.outcome instanceof ProxyError) || isFinal(one, one.outcome));
    if (first?.outcome instanceof ProxyError) return this.#end(first.route, first.outcome);
    // A proxy that answers has told what becomes of the target: those that say nothing will not tell it better.
    const isVerdict = VERDICTS.has(failure.code) && pending.every((one) => this.#silentMs(one) >= STAGGER_MS);
    if (isVerdict) {
      for (const silent of pending) this.#lost(silent);
      return this.#end(route, failure);
    }
    if (pending.length === 0 && this.#waiting.length === 0) return this.#endAll();
    this.#tell(route, failure.code, startedMs);
    this.#begin();
  }

  #tell(route: Route, reason: FailureCode, startedMs: number): void {
    const { id, observe } = this.#within;
    observe({ type: 'route-failed', id, route, reason, ms: this.#clock.now() - startedMs });
  }

  /** How long nobody has heard anything of what it waits for. */
  #silentMs({ route, startedMs, isTargets }: Attempt): number {
    if (isTargets) return Number.NEGATIVE_INFINITY;
    const heardMs = route.via === 'direct' ? startedMs : Math.max(startedMs, this.#health.heardMs(route.hops));
    return this.#clock.now() - heardMs;
  }

  /** How much silence of everybody who is asked is too much by now. */
  get #graceMs(): number {
    const waitedMs = this.#clock.now() - (this.#attempts[0]?.startedMs ?? 0);
    return Math.max(STAGGER_MS, waitedMs * SILENCE_SHARE);
  }

  /** Begins the next route when all that go on have been silent for too long, and asks them in time before that. */
  #look(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const pending = this.#pending;
    if (pending.length === 0 || this.#waiting.length === 0) return;
    const silentMs = Math.min(...pending.map((one) => this.#silentMs(one)));
    if (silentMs < 0) return;
    const graceMs = this.#graceMs;
    if (silentMs >= graceMs) return this.#begin();
    if (silentMs < graceMs - ASK_MS) return this.#lookIn(graceMs - ASK_MS - silentMs);
    for (const { route } of pending) if (route.via === 'proxies') this.#health.ask(route.hops);
    this.#lookIn(graceMs - silentMs);
  }

  #lookIn(delayMs: number): void {
    // Whole milliseconds, as timers have them: a look that is early by a fraction would look again and again.
    const wholeMs = Math.ceil(delayMs);
    const dueMs = this.#clock.now() + wholeMs;
    this.#timer = this.#clock.after(wholeMs, () => {
      if (this.#clock.now() - dueMs <= LATE_MS) return this.#look();
      // Once: on a machine that is always so late the next route would never begin.
      this.#timer = this.#clock.after(CATCH_UP_MS, () => this.#look());
    });
  }

  #end(route: Route, failure: ProxyError): void {
    this.#finish(() => this.#reject(naming(route, failure)));
  }

  #endAll(): void {
    const all = this.#attempts.flatMap(({ route, outcome }) =>
      outcome instanceof ProxyError ? [{ way: wordFor(route), failure: outcome }] : [],
    );
    const code = all[0]?.failure.code ?? 'no_route';
    const detail = all.map(({ way, failure }) => `${way}: [${failure.code}] ${failure.detail}`).join('; ');
    const told = `Every way was tried: ${all.map(({ way, failure }) => `${way} (${failure.code})`).join(', ')}.`;
    const cause = all[0]?.failure;
    const [first] = this.#attempts;
    const onlyFirst = first !== undefined && isUnreached(first) ? NOT_REACHED : undefined;
    const sentence = this.#attempts.every(isUnreached) ? NONE_REACHED : onlyFirst;
    this.#finish(() => this.#reject(new ProxyError(code, detail, { cause, told, ...(sentence && { sentence }) })));
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

/** Why an attempt is given up whose answer nobody waits for any more. */
const OTHER_ROUTE: ProxyError = new ProxyError('parent_silent', 'another route has answered');

/** What a proxy says of the target. */
const VERDICTS: ReadonlySet<FailureCode> = new Set(['parent_refused', 'parent_failed'] as const);

/** What a proxy that is not there is called, by codes whose sentences speak of the destination. */
const UNREACHED: ReadonlySet<FailureCode> = new Set([
  'dns_failed',
  'dns_timeout',
  'refused',
  'unroutable',
  'connect_timeout',
  'connect_failed',
] as const);
const NOT_REACHED = 'The upstream proxy could not be reached.';
const NONE_REACHED = 'No upstream proxy could be reached.';
const isUnreached = ({ route, outcome }: Pick<Attempt, 'route' | 'outcome'>): boolean =>
  route.via === 'proxies' && outcome instanceof ProxyError && UNREACHED.has(outcome.code);

const isFinal = ({ isTargets }: Attempt, { code }: ProxyError): boolean =>
  FAILURES[code].retry === 'never' || (isTargets && code === 'parent_silent');

/** What a failure says about the proxy. */
function report(route: Route, { code }: ProxyError, generation: number, health: ProxyHealth): void {
  if (route.via === 'direct') return;
  if (isProxysFault(code) && code !== 'parent_silent') health.failed(route.hops, code, generation);
  // It speaks, and so it is alive.
  else if (VERDICTS.has(code) || code === 'proxy_auth_failed') health.answered(route.hops);
  // It may be gone, or dislike this one request, or wait for its target: it is asked.
  else if (code === 'parent_closed' || code === 'parent_silent') health.ask(route.hops);
}

const wordFor = (route: Route): string => (route.via === 'direct' ? 'direct' : nameOf(route.hops));

/** A failure of a proxy names it: the sentence of its code speaks of a destination, which it is not. */
function naming(route: Route, failure: ProxyError): ProxyError {
  const { code, detail, told, fields } = failure;
  if (route.via === 'direct' || told !== undefined || !(isProxysFault(code) || code === 'parent_closed'))
    return failure;
  const proxy = nameOf(route.hops);
  const sentence = isUnreached({ route, outcome: failure }) ? { sentence: NOT_REACHED } : {};
  const led = `The way led through ${proxy}.`;
  return new ProxyError(code, `${proxy}: ${detail}`, { cause: failure, told: led, fields, ...sentence });
}
