import type { Observe } from '../../contracts/event.ts';
import { asProxyError, type FailureCode, isUnreached, ProxyError } from '../../contracts/failure.ts';
import type { Hops } from '../../contracts/stages.ts';
import type { Clock } from '../../util/clock.ts';
import type { Probe } from './probe.ts';

/** How long a proxy is marked down that never responds to a probe; as in Chromium, it gets another chance then. */
const DOWN_MS = 300_000;
/** A proxy that restarts is back within seconds. The interval doubles from here, so that a dead one costs next to nothing. */
const FIRST_PROBE_MS = 1_000;
const PROBE_INTERVAL_MAX_MS = 30_000;
/** How long a probe waits for its response; a proxy that takes longer is of no use to a request either. */
const PROBE_MS = 5_000;
/** A proxy that responds to probes but fails requests keeps its longer interval, when it fails again within this time. */
const RELAPSE_MS = 60_000;

/** How many connections are remembered: what a small chart shows. */
const LATENCIES_MAX = 30;

export interface HealthOptions {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly probe: Probe;
}

interface Outage {
  readonly at: 'down';
  readonly untilMs: number;
  /** Of the next probe, or of the end of the outage; absent while a probe runs. */
  timer: Disposable | undefined;
}
type Service = { readonly at: 'up'; readonly sinceMs: number } | Outage;

interface RunningProbe {
  readonly abort: AbortController;
  readonly limit: Disposable;
  readonly over: Promise<void>;
}

/** What a proxy has shown that holds in any network. */
export interface ProxyHabits {
  /** It has responded to a request. */
  readonly hasServed: boolean;
  /** Some proxies respond to requests and to no probes: silence to a probe says nothing about them. */
  readonly respondsToProbes: 'untried' | 'yes' | 'no';
}

/** What is known about one proxy, or one chain of them, in one network. Disposing it ends its probe and its timer. */
export class ProxyHealthState implements Disposable {
  /** As it was named last: a probe uses the login that requests use now. */
  hops: Hops;
  readonly name: string;
  readonly #options: HealthOptions;
  #service: Service = { at: 'up', sinceMs: Number.NEGATIVE_INFINITY };
  #lastSeenMs = Number.NEGATIVE_INFINITY;
  #lastFailure: FailureCode | undefined;
  #latencyMs: readonly number[] = [];
  /** Until the next probe, while it is down. */
  #intervalMs = FIRST_PROBE_MS;
  #probe: RunningProbe | undefined;
  #habits: ProxyHabits;
  #isOver = false;

  constructor(name: string, hops: Hops, options: HealthOptions, habits?: ProxyHabits) {
    this.name = name;
    this.hops = hops;
    this.#options = options;
    this.#habits = habits ?? { hasServed: false, respondsToProbes: 'untried' };
  }

  get habits(): ProxyHabits {
    return this.#habits;
  }

  get isDown(): boolean {
    return this.#service.at === 'down';
  }

  get downUntilMs(): number | undefined {
    return this.#service.at === 'down' ? this.#service.untilMs : undefined;
  }

  /** Why a request failed last by its fault. */
  get lastFailure(): FailureCode | undefined {
    return this.#lastFailure;
  }

  /** When it last responded, on the clock of the process; -Infinity when it never did. */
  get lastSeenMs(): number {
    return this.#lastSeenMs;
  }

  /** How long the last connections took, the latest last. */
  get latencyMs(): readonly number[] {
    return this.#latencyMs;
  }

  /** Whether its silence to probes says that it is down: not if it has responded to requests, and never a probe. */
  get isJudgedByProbes(): boolean {
    const { hasServed, respondsToProbes } = this.#habits;
    return respondsToProbes === 'yes' || !hasServed;
  }

  /** Whether it has never responded. */
  get isUnknown(): boolean {
    const { hasServed, respondsToProbes } = this.#habits;
    return !hasServed && respondsToProbes !== 'yes';
  }

  connected(ms: number): void {
    this.#latencyMs = [...this.#latencyMs.slice(1 - LATENCIES_MAX), ms];
  }

  /** It has responded to a request. */
  responded(): void {
    this.#habits = { ...this.#habits, hasServed: true };
    this.#markSeen('it responds');
  }

  /** A request failed by its fault: it is down until it responds to a probe, or until the time is over. */
  failed(why: FailureCode): void {
    this.#lastFailure = why;
    if (this.#service.at === 'down') return;
    const { clock, observe } = this.#options;
    const nowMs = clock.now();
    if (nowMs - this.#service.sinceMs > RELAPSE_MS) this.#intervalMs = FIRST_PROBE_MS;
    const outage: Outage = { at: 'down', untilMs: nowMs + DOWN_MS, timer: undefined };
    this.#service = outage;
    this.#scheduleProbe(outage);
    const untilMs = clock.wallMs() + DOWN_MS;
    observe({ type: 'health', proxy: this.name, untilMs });
    const until = new Date(untilMs).toTimeString().slice(0, 8);
    const message = `the upstream proxy ${this.name} failed (${why}); it is marked down until ${until}, or until it responds to a probe`;
    observe({ type: 'notice', level: 'warn', message });
  }

  /** Resolves when it was probed, by the probe that runs or by a new one. */
  probe(): Promise<void> {
    return this.#probe === undefined ? this.#runProbe() : this.#probe.over;
  }

  /** Learns whether it responds to probes, while it is up: later its silence to one will mean more. */
  learn(): void {
    if (this.#habits.respondsToProbes === 'untried') void this.probe();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    if (this.#service.at === 'down') {
      this.#service.timer?.[Symbol.dispose]();
      this.#options.observe({ type: 'health', proxy: this.name, untilMs: undefined });
    }
    this.#probe?.limit[Symbol.dispose]();
    this.#probe?.abort.abort(new ProxyError('upstream_timeout', 'the result of the probe is not needed any more'));
  }

  #markSeen(how: string): void {
    this.#lastSeenMs = this.#options.clock.now();
    if (this.#service.at === 'down') this.#markUp(this.#service, how);
  }

  #markUp(outage: Outage, why: string): void {
    outage.timer?.[Symbol.dispose]();
    this.#service = { at: 'up', sinceMs: this.#options.clock.now() };
    const { observe } = this.#options;
    observe({ type: 'health', proxy: this.name, untilMs: undefined });
    const message = `the upstream proxy ${this.name} is back in service: ${why}`;
    observe({ type: 'notice', level: 'info', message });
  }

  /** The next probe, or the end of the outage. */
  #scheduleProbe(outage: Outage): void {
    const { clock } = this.#options;
    const leftMs = outage.untilMs - clock.now();
    const inMs = Math.min(this.#intervalMs, leftMs);
    this.#intervalMs = Math.min(this.#intervalMs * 2, PROBE_INTERVAL_MAX_MS);
    outage.timer?.[Symbol.dispose]();
    outage.timer = clock.after(inMs, () => {
      outage.timer = undefined;
      if (inMs === leftMs) this.#markUp(outage, `${DOWN_MS / 60_000} minutes are over`);
      else if (this.#probe === undefined) void this.#runProbe();
    });
  }

  async #runProbe(): Promise<void> {
    const { clock, probe } = this.#options;
    const startedMs = clock.now();
    const abort = new AbortController();
    const limit = clock.after(PROBE_MS, () =>
      abort.abort(new ProxyError('upstream_timeout', 'no response to a probe')),
    );
    const { promise: over, resolve } = Promise.withResolvers<void>();
    this.#probe = { abort, limit, over };
    let failure: FailureCode | undefined;
    try {
      await probe(this.hops, abort.signal);
    } catch (error) {
      failure = asProxyError(error).code;
    }
    limit[Symbol.dispose]();
    this.#probe = undefined;
    if (!this.#isOver) this.#onProbed(failure, startedMs);
    resolve();
  }

  #onProbed(failure: FailureCode | undefined, startedMs: number): void {
    if (failure === undefined) {
      this.#habits = { ...this.#habits, respondsToProbes: 'yes' };
      return this.#markSeen('it responds');
    }
    const isReached = !isUnreached(failure);
    const isJudged = this.isJudgedByProbes;
    const { hasServed, respondsToProbes } = this.#habits;
    if (respondsToProbes === 'untried' && hasServed && isReached) this.#habits = { hasServed, respondsToProbes: 'no' };
    // It accepts connections, and more it never did for a probe.
    if (isReached && !isJudged && this.#service.at === 'down') return this.#markSeen('it accepts connections');
    if (this.#service.at === 'down') this.#scheduleProbe(this.#service);
    else if ((isJudged || !isReached) && this.#lastSeenMs <= startedMs) this.failed(failure);
  }
}
