import type { Limiter } from '../core/contracts.ts';
import { Roster } from '../core/roster.ts';
import type { Identified, Permit } from '../core/stages.ts';
import { Bandwidth, type BandwidthState } from './bandwidth.ts';
import type { TunnelState } from './concurrency.ts';
import { type BudgetHold, HookBudgets, type LimitHook, NO_BUDGETS } from './hook.ts';
import type { Lender } from './lease.ts';
import { LeasedBuckets } from './leased-bucket.ts';
import { type Ledger, type LedgerParts, OwnLedger } from './ledger.ts';
import { LentLedger } from './lent-ledger.ts';
import { Names } from './names.ts';
import type { LimitsOptions } from './options.ts';
import { LimitsPermit, type PermitHome } from './permit.ts';
import type { QuotaState } from './quota.ts';
import type { RequestState } from './rate.ts';
import { type Subject, subjectOf } from './subject.ts';

export type LimitState = BandwidthState | TunnelState | RequestState | QuotaState;

export interface LimitsScope extends LedgerParts {
  /** Of a program that embeds the proxy. */
  readonly hook?: LimitHook | undefined;
  /** Who owns the limits. Absent: this process. */
  readonly lender?: Lender | undefined;
}

/** All limits of one proxy. */
export interface Limits extends Limiter, AsyncDisposable {
  /** Adopts new limits at once, also for open requests; what has been counted stays, as far as its limit does. */
  update(options: LimitsOptions): void;
  /** Sets the rate (bytes per second) of a bandwidth limit until the next update. `false`: there is none of this name. */
  setRate(name: string, rate: number): boolean;
  /** Every limit, with what is going on under it; where limits are lent, only what this process knows. */
  describe(): LimitState[];
  /** Names of the limits that a request would meet, without counting it. */
  namesFor(from: Identified): readonly string[];
}

/** Disposing it ends every permit and writes what is still to be kept. */
export function createLimits(options: LimitsOptions, scope: LimitsScope): Limits {
  return new AllLimits(options, scope);
}

const NO_NAMES: readonly string[] = [];

function isUnlimited({ bandwidth, requests, quota, tunnels }: LimitsOptions): boolean {
  const { total, client, user } = tunnels;
  return [...bandwidth, ...requests, ...quota, total, client, user].every((limit) => limit === undefined);
}

class AllLimits implements Limits, PermitHome {
  readonly bandwidth: Bandwidth;
  readonly #budgets: HookBudgets | undefined;
  readonly #leases: LeasedBuckets | undefined;
  readonly #ledger: Ledger;
  readonly #permits = new Roster<LimitsPermit>();
  /** No limit at all: then every request would ask each kind of limit for nothing. */
  #isUnlimited = false;

  constructor(options: LimitsOptions, scope: LimitsScope) {
    const { clock, hook, lender } = scope;
    this.#leases = lender && new LeasedBuckets(lender, clock, (bucket) => this.bandwidth.filled(bucket));
    this.bandwidth = new Bandwidth(clock, this.#leases);
    this.#budgets = hook && new HookBudgets(clock, hook, (bucket) => this.bandwidth.repaced(bucket));
    this.#ledger = lender && this.#leases ? new LentLedger(lender, this.#leases, clock) : new OwnLedger(options, scope);
    this.update(options);
  }

  acquire(from: Identified): Permit | Promise<Permit> {
    const subject = subjectOf(from);
    const place = this.#ledger.admit(subject, from.request.signal);
    if (this.#budgets !== undefined) return this.#openAsked(subject, place, this.#budgets, from);
    return place instanceof Promise ? place.then((free) => this.#open(subject, free)) : this.#open(subject, place);
  }

  update(options: LimitsOptions): void {
    const names = new Names(options);
    this.#isUnlimited = isUnlimited(options);
    this.#ledger.update(options, names);
    for (const permit of this.#permits) permit.countBy(this.#ledger.hold(permit.subject));
    this.bandwidth.update(options.bandwidth, names);
  }

  setRate(name: string, rate: number): boolean {
    return this.bandwidth.setRate(name, rate);
  }

  describe(): LimitState[] {
    return [...this.bandwidth.describe(), ...this.#ledger.describe()];
  }

  namesFor(from: Identified): readonly string[] {
    return this.namesOf(subjectOf(from));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const permit of this.#permits) permit[Symbol.dispose]();
    this.bandwidth.stop();
    this.#leases?.[Symbol.dispose]();
    await this.#ledger[Symbol.asyncDispose]();
  }

  namesOf(subject: Subject): readonly string[] {
    if (this.#isUnlimited) return NO_NAMES;
    return [...this.bandwidth.namesFor(subject), ...this.#ledger.namesFor(subject)];
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
    const permit = new LimitsPermit(subject, place, this.#ledger.hold(subject), budgets, this);
    this.#permits.add(permit);
    return permit;
  }

  closed(permit: LimitsPermit): void {
    this.#permits.delete(permit);
  }
}
