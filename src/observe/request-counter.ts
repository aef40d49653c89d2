import type { Exporter, ProxyEvent } from '../contracts/event.ts';
import type { ProxyRecord, TimedStep } from '../contracts/record.ts';
import { TIMED_STEPS } from '../contracts/record.ts';
import type { Decision, Route, RouteSource } from '../contracts/stages.ts';
import type { Clock } from '../util/clock.ts';

/** Upper bounds of a histogram, in milliseconds; the last bucket has none. */
export const BOUNDS_MS: readonly number[] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

/** How long a step has taken. */
export interface Histogram {
  /** How many were at most as long as each bound, and longer than the one before; and at the end those above all. */
  readonly buckets: number[];
  sumMs: number;
  count: number;
}

/** What a rule is for: `access` decides, `report` (`report: true`) would have, `route` chooses routes. */
export const RULE_KINDS = ['access', 'report', 'route'] as const;
export type RuleKind = (typeof RULE_KINDS)[number];

/** How often a rule has decided, and when it did last, on the wall clock. */
export interface RuleHits {
  /** Of a rule for routes: absent. */
  verdict: Decision['verdict'] | undefined;
  hits: number;
  lastHitMs: number;
}

/** Rules of each kind that are counted. */
const RULES_MAX = 1_024;

export type RouteKind = 'none' | 'direct' | 'direct_fallback' | 'proxy' | 'chain';

/** What has ended in one process since its start. Every key comes from a table: no client can make it grow. */
export interface RequestCounts {
  /** By kind and outcome: `tunnel ok`, `forward failed`. */
  readonly requests: Record<string, number>;
  /** By failure code. */
  readonly failures: Record<string, number>;
  readonly routes: Record<RouteKind, number>;
  /** By kind and name; a program's hook may name any, so there is a bound. */
  readonly rules: Record<RuleKind, Record<string, RuleHits>>;
  bytesUp: number;
  bytesDown: number;
  readonly steps: Record<TimedStep, Histogram>;
}

/** Keys that are made for each request would have to be looked up as strings. */
const OK = { tunnel: 'tunnel ok', forward: 'forward ok', local: 'local ok', malformed: 'malformed ok' } as const;
const FAILED = {
  tunnel: 'tunnel failed',
  forward: 'forward failed',
  local: 'local failed',
  malformed: 'malformed failed',
} as const;

/** The steps that are measured; `relay` is as long as a client wants. */
const MEASURED: readonly TimedStep[] = TIMED_STEPS.filter((step) => step !== 'relay');

export function noCounts(): RequestCounts {
  const histogram = (): Histogram => ({ buckets: new Array(BOUNDS_MS.length + 1).fill(0), sumMs: 0, count: 0 });
  return {
    requests: {},
    failures: {},
    routes: { none: 0, direct: 0, direct_fallback: 0, proxy: 0, chain: 0 },
    rules: { access: Object.create(null), report: Object.create(null), route: Object.create(null) },
    bytesUp: 0,
    bytesDown: 0,
    steps: {
      identify: histogram(),
      admit: histogram(),
      route: histogram(),
      connect: histogram(),
      wait: histogram(),
      relay: histogram(),
    },
  };
}

/** Counts requests when they end. */
export class RequestCounter implements Exporter {
  readonly name = 'counts';
  readonly only = ['decided', 'routed', 'close'] as const;
  readonly counts: RequestCounts = noCounts();
  readonly #clock: Pick<Clock, 'wallMs'>;
  readonly #known: Record<RuleKind, number> = { access: 0, report: 0, route: 0 };

  constructor(clock: Pick<Clock, 'wallMs'>) {
    this.#clock = clock;
  }

  readonly observe = (event: ProxyEvent): void => {
    if (event.type === 'close') this.#count(event.record);
    else if (event.type === 'decided') this.#countDecision(event.decision);
    else if (event.type === 'routed') this.#countRouting(event.by);
  };

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #countDecision(decision: Decision): void {
    this.#countRule('access', decision.rule, decision.verdict);
    if (decision.wouldDeny !== undefined) this.#countRule('report', decision.wouldDeny, 'deny');
    if (decision.verdict === 'deny' && decision.wouldAllow !== undefined) {
      this.#countRule('report', decision.wouldAllow, 'allow');
    }
  }

  #countRouting(by: RouteSource): void {
    if (by.kind === 'rule') this.#countRule('route', by.rule, undefined);
  }

  #countRule(kind: RuleKind, rule: string, verdict: RuleHits['verdict']): void {
    const rules = this.counts.rules[kind];
    const known = rules[rule];
    if (known !== undefined) {
      known.hits++;
      known.verdict = verdict;
      known.lastHitMs = this.#clock.wallMs();
    } else if (this.#known[kind] < RULES_MAX) {
      this.#known[kind]++;
      rules[rule] = { verdict, hits: 1, lastHitMs: this.#clock.wallMs() };
    }
  }

  #count({ kind, failure, route, bytesUp, bytesDown, timings }: ProxyRecord): void {
    const { counts } = this;
    const key = failure === undefined ? OK[kind] : FAILED[kind];
    counts.requests[key] = (counts.requests[key] ?? 0) + 1;
    if (failure !== undefined) counts.failures[failure] = (counts.failures[failure] ?? 0) + 1;
    counts.routes[kindOf(route)]++;
    counts.bytesUp += bytesUp;
    counts.bytesDown += bytesDown;
    for (const step of MEASURED) {
      const ms = timings[step];
      if (ms !== undefined) add(counts.steps[step], ms);
    }
  }
}

function kindOf(route: Route | undefined): RouteKind {
  if (route === undefined) return 'none';
  if (route.via === 'direct') return route.isFallback === true ? 'direct_fallback' : 'direct';
  return route.hops.length === 1 ? 'proxy' : 'chain';
}

function add(histogram: Histogram, ms: number): void {
  let at = 0;
  while (at < BOUNDS_MS.length && ms > (BOUNDS_MS[at] ?? 0)) at++;
  histogram.buckets[at] = (histogram.buckets[at] ?? 0) + 1;
  histogram.sumMs += ms;
  histogram.count++;
}

/** The counts of several processes together. */
export function sumOfCounts(all: readonly RequestCounts[]): RequestCounts {
  const sum = noCounts();
  for (const one of all) {
    addAll(sum.requests, one.requests);
    addAll(sum.failures, one.failures);
    addAll(sum.routes, one.routes);
    for (const kind of RULE_KINDS) {
      for (const [rule, hits] of Object.entries(one.rules[kind])) addRule(sum.rules[kind], rule, hits);
    }
    sum.bytesUp += one.bytesUp;
    sum.bytesDown += one.bytesDown;
    for (const step of TIMED_STEPS) {
      const [to, from] = [sum.steps[step], one.steps[step]];
      for (const [at, count] of from.buckets.entries()) to.buckets[at] = (to.buckets[at] ?? 0) + count;
      to.sumMs += from.sumMs;
      to.count += from.count;
    }
  }
  return sum;
}

function addRule(to: Record<string, RuleHits>, rule: string, { verdict, hits, lastHitMs }: RuleHits): void {
  const known = to[rule];
  to[rule] = { verdict, hits: hits + (known?.hits ?? 0), lastHitMs: Math.max(lastHitMs, known?.lastHitMs ?? 0) };
}

function addAll(to: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [key, count] of Object.entries(from)) to[key] = (to[key] ?? 0) + count;
}
