import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Limiter, Observe } from '../core/contracts.ts';
import type { Identified, Permit } from '../core/stages.ts';
import { Bandwidth, type BandwidthState } from './bandwidth.ts';
import { Concurrency, type TunnelState } from './concurrency.ts';
import type { KeptQuotas } from './counter.ts';
import { type BudgetHold, HookBudgets, type LimitHook, NO_BUDGETS } from './hook.ts';
import { Names } from './names.ts';
import type { LimitsOptions } from './options.ts';
import { LimitsPermit } from './permit.ts';
import { type QuotaState, Quotas } from './quota.ts';
import { QuotaFile } from './quota-file.ts';
import { RequestRate, type RequestState } from './rate.ts';
import { type Subject, subjectOf } from './subject.ts';

export type LimitState = BandwidthState | TunnelState | RequestState | QuotaState;

const STATE_FILE = 'quota.json';

export interface LimitsScope {
  readonly clock: Clock;
  readonly observe: Observe;
  /** Where quotas are kept unless `options.state` names a file; `undefined`: nowhere, a restart forgets them. */
  readonly stateDir?: string | undefined;
  /** Of a program that embeds the proxy. */
  readonly hook?: LimitHook | undefined;
}

/** All limits of one proxy. */
export interface Limits extends Limiter, AsyncDisposable {
  /** Adopts new limits at once, also for open requests; what has been counted stays, as far as its limit does. */
  update(options: LimitsOptions): void;
  /** Sets the rate (bytes per second) of a bandwidth limit until the next update. `false`: there is none of this name. */
  setRate(name: string, rate: number): boolean;
  /** Every limit, with what is going on under it. */
  describe(): LimitState[];
  /** Names of the limits that a request would meet, without counting it. */
  namesFor(from: Identified): string[];
}

/** Disposing it ends every permit and writes what is still to be kept. */
export function createLimits(options: LimitsOptions, scope: LimitsScope): Limits {
  return new AllLimits(options, scope);
}

const NO_QUOTAS: KeptQuotas = new Map();
/** Where nothing counts open tunnels, nothing has to be given back. */
const NO_PLACE: Disposable = { [Symbol.dispose]() {} };

class AllLimits implements Limits {
  readonly #bandwidth: Bandwidth;
  readonly #budgets: HookBudgets | undefined;
  readonly #concurrency: Concurrency;
  readonly #requests: RequestRate;
  readonly #quotas: Quotas;
  readonly #file: QuotaFile | undefined;
  readonly #permits = new Set<LimitsPermit>();

  constructor(options: LimitsOptions, { clock, observe, stateDir, hook }: LimitsScope) {
    const path = options.state ?? (stateDir === undefined ? undefined : join(stateDir, STATE_FILE));
    this.#file = path === undefined ? undefined : new QuotaFile(path, clock, observe);
    this.#bandwidth = new Bandwidth(clock);
    this.#budgets = hook && new HookBudgets(clock, hook, (bucket) => this.#bandwidth.repaced(bucket));
    this.#concurrency = new Concurrency(clock, options.tunnels);
    this.#requests = new RequestRate(clock);
    const snapshot = () => this.#quotas.snapshot();
    this.#quotas = new Quotas(
      clock,
      () => this.#file?.load() ?? NO_QUOTAS,
      () => this.#file?.saveSoon(snapshot),
    );
    this.update(options);
  }

  acquire(from: Identified): Permit | Promise<Permit> {
    const subject = subjectOf(from);
    this.#quotas.check(subject);
    this.#requests.count(subject);
    const place = subject.isTunnel ? this.#concurrency.take(subject, from.request.signal) : NO_PLACE;
    if (this.#budgets !== undefined) return this.#openAsked(subject, place, this.#budgets, from);
    return place instanceof Promise ? place.then((free) => this.#open(subject, free)) : this.#open(subject, place);
  }

  update(options: LimitsOptions): void {
    const names = new Names(options);
    this.#requests.update(options.requests, names);
    this.#quotas.update(options.quota, names);
    for (const permit of this.#permits) permit.countBy(this.#quotas.hold(permit.subject));
    this.#bandwidth.update(options.bandwidth, names);
    this.#concurrency.update(options.tunnels);
  }

  setRate(name: string, rate: number): boolean {
    return this.#bandwidth.setRate(name, rate);
  }

  describe(): LimitState[] {
    return [
      ...this.#bandwidth.describe(),
      ...this.#concurrency.describe(),
      ...this.#requests.describe(),
      ...this.#quotas.describe(),
    ];
  }

  namesFor(from: Identified): string[] {
    return this.#namesOf(subjectOf(from));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const permit of this.#permits) permit[Symbol.dispose]();
    this.#bandwidth.stop();
    await this.#file?.[Symbol.asyncDispose]();
  }

  #namesOf(subject: Subject): string[] {
    return [
      ...this.#bandwidth.namesFor(subject),
      ...(subject.isTunnel ? this.#concurrency.names() : []),
      ...this.#requests.names(),
      ...this.#quotas.names(),
    ];
  }

  async #openAsked(
    subject: Subject,
    place: Disposable | Promise<Disposable>,
    budgets: HookBudgets,
    from: Identified,
  ): Promise<Permit> {
    const free = await place;
    try {
      return this.#open(subject, free, await budgets.ask(from));
    } catch (error) {
      free[Symbol.dispose]();
      throw error;
    }
  }

  #open(subject: Subject, place: Disposable, budgets: BudgetHold = NO_BUDGETS): Permit {
    const permit = new LimitsPermit(subject, this.#quotas.hold(subject), budgets, {
      bandwidth: this.#bandwidth,
      names: () => this.#namesOf(subject),
      closed: () => {
        this.#permits.delete(permit);
        place[Symbol.dispose]();
      },
    });
    this.#permits.add(permit);
    return permit;
  }
}
