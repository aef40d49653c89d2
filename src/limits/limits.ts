import type { Limiter, Stoppable } from '../contracts/limits.ts';
import type { IdentifiedRequest, Permit } from '../contracts/stages.ts';
import { atOnce, type Sliced } from '../util/slices.ts';
import { SlotList } from '../util/slot-list.ts';
import { type Admission, type AdmissionDeps, LocalAdmission } from './counting/admission.ts';
import { type BudgetHold, HookBudgets, type LimitHook, NO_BUDGETS } from './hook.ts';
import { LimitIds } from './ids.ts';
import type { LimitState } from './limit-state.ts';
import type { LimitsOptions } from './options.ts';
import { LimitsPermit, type PermitOwner } from './permit.ts';
import { Bandwidth } from './shaping/bandwidth.ts';
import type { LimitsBackend } from './shared/backend.ts';
import { LeasedBuckets } from './shared/leased-buckets.ts';
import { RemoteAdmission } from './shared/remote-admission.ts';
import { type Subject, subjectOf } from './subject.ts';

export interface LimitsScope extends AdmissionDeps {
  /** `limit` of a program that embeds the proxy. */
  readonly hook?: LimitHook | undefined;
  /** The owner of the limits, where that is another process. These limits dispose it. */
  readonly backend?: LimitsBackend | undefined;
}

/** All limits of one proxy. */
export interface Limits extends Limiter, AsyncDisposable {
  /** As `prepare` and `commit`, at once. */
  update(options: LimitsOptions): void;
  /**
   * Does what takes long for many limits. `commit` then puts them in force at once, also for open requests; what has been
   * counted stays, as far as its limit does. Not to be called again before the result was committed or dropped.
   */
  prepare(options: LimitsOptions): Sliced<{ commit(): void }>;
  /** Sets the rate (bytes per second) of a bandwidth limit until the next update. `false`: no limit of this name has a rate. */
  setRate(name: string, rate: number): boolean;
  /** Every limit, with what is counted under it: in all processes that share the limits, as their owner counts it. */
  describe(): Promise<readonly LimitState[]>;
  /** Names of the limits that apply to a request, without counting it. */
  namesFor(from: IdentifiedRequest): readonly string[];
  /** What is held beside the permits that requests in progress have: all of it would be 0. */
  heldBeside(permits: ReadonlySet<Permit>): HeldBeside;
}

export interface HeldBeside {
  readonly permits: number;
  /** Holds of buckets of bandwidth limits. */
  readonly buckets: number;
}

/** Disposing ends every permit, writes quotas to their file, and disposes the backend. */
export function createLimits(options: LimitsOptions, scope: LimitsScope): Limits {
  return new AllLimits(options, scope);
}

const NO_NAMES: readonly string[] = [];

/** Whether nothing is limited or counted. */
export function isUnlimited({ bandwidth, requests, quota, tunnels }: LimitsOptions): boolean {
  const { total, client, user } = tunnels;
  return [...bandwidth, ...requests, ...quota, total, client, user].every((limit) => limit === undefined);
}

class AllLimits implements Limits, PermitOwner {
  readonly bandwidth: Bandwidth;
  readonly #budgets: HookBudgets | undefined;
  readonly #backend: LimitsBackend | undefined;
  readonly #leases: LeasedBuckets | undefined;
  readonly #admission: Admission;
  readonly #describe: () => LimitState[] | Promise<readonly LimitState[]>;
  readonly #permits = new SlotList<LimitsPermit>();
  /** No limit at all: then the names need not be collected for each request. */
  #isUnlimited = false;

  constructor(options: LimitsOptions, scope: LimitsScope) {
    const { clock, hook, backend } = scope;
    this.#backend = backend;
    this.#leases = backend && new LeasedBuckets(backend, clock, (bucket) => this.bandwidth.onRefilled(bucket));
    this.bandwidth = new Bandwidth(clock, this.#leases);
    this.#budgets = hook && new HookBudgets(clock, hook, (bucket) => this.bandwidth.onRateChanged(bucket));
    if (backend && this.#leases) {
      this.#admission = new RemoteAdmission(backend, this.#leases, clock);
      this.#describe = () => backend.describe();
      backend.reportWith(() => [...this.bandwidth.describe()]);
    } else {
      const local = new LocalAdmission(options, scope);
      this.#admission = local;
      this.#describe = () => [...this.bandwidth.describe(), ...local.describe()];
    }
    this.update(options);
  }

  acquire(from: IdentifiedRequest, request?: Stoppable): Permit | Promise<Permit> {
    const subject = subjectOf(from);
    const slot = this.#admission.admit(subject, from.request.signal, request);
    if (this.#budgets !== undefined) return this.#openWithBudgets(subject, slot, this.#budgets, from);
    return slot instanceof Promise ? slot.then((free) => this.#open(subject, free)) : this.#open(subject, slot);
  }

  update(options: LimitsOptions): void {
    atOnce(this.prepare(options)).commit();
  }

  *prepare(options: LimitsOptions): Sliced<{ commit(): void }> {
    const limitIds = new LimitIds(options);
    const bandwidth = yield* this.bandwidth.prepare(options.bandwidth, limitIds);
    return {
      commit: () => {
        this.#isUnlimited = isUnlimited(options);
        this.#admission.update(options, limitIds);
        for (const permit of this.#permits) permit.countBy(this.#admission.hold(permit.subject));
        bandwidth.commit();
      },
    };
  }

  setRate(name: string, rate: number): boolean {
    this.#backend?.setRate(name, rate);
    return this.bandwidth.setRate(name, rate);
  }

  async describe(): Promise<readonly LimitState[]> {
    return this.#describe();
  }

  namesFor(from: IdentifiedRequest): readonly string[] {
    return this.namesOf(subjectOf(from));
  }

  heldBeside(held: ReadonlySet<Permit>): HeldBeside {
    let [permits, buckets] = [0, this.bandwidth.holders];
    for (const permit of this.#permits) {
      if (held.has(permit)) buckets -= permit.bucketCount;
      else permits += 1;
    }
    return { permits, buckets };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const permit of this.#permits) permit[Symbol.dispose]();
    this.bandwidth.stop();
    this.#leases?.[Symbol.dispose]();
    await this.#admission[Symbol.asyncDispose]();
    await this.#backend?.[Symbol.asyncDispose]();
  }

  namesOf(subject: Subject): readonly string[] {
    if (this.#isUnlimited) return NO_NAMES;
    return [...this.bandwidth.namesFor(subject), ...this.#admission.namesFor(subject)];
  }

  async #openWithBudgets(
    subject: Subject,
    slot: Disposable | Promise<Disposable>,
    budgets: HookBudgets,
    from: IdentifiedRequest,
  ): Promise<Permit> {
    const free = await slot;
    try {
      return this.#open(subject, free, await budgets.budgetsFor(from));
    } catch (error) {
      free[Symbol.dispose]();
      throw error;
    }
  }

  #open(subject: Subject, slot: Disposable, budgets: BudgetHold = NO_BUDGETS): Permit {
    const permit = new LimitsPermit(subject, slot, this.#admission.hold(subject), budgets, this);
    this.#permits.add(permit);
    return permit;
  }

  onClosed(permit: LimitsPermit): void {
    this.#permits.delete(permit);
  }
}
