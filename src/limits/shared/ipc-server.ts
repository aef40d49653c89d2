import type { Clock } from '../../util/clock.ts';
import { atOnce, type Sliced } from '../../util/slices.ts';
import { type AdmissionDeps, LocalAdmission, type OwnerAdmission } from '../counting/admission.ts';
import { LimitIds } from '../ids.ts';
import { KEYS_MAX, KeyedPool } from '../keyed-pool.ts';
import type { BandwidthState, LimitState } from '../limit-state.ts';
import type { BandwidthOptions, LimitsOptions } from '../options.ts';
import { FillRate } from '../token-bucket.ts';
import { Allocator, type Claim, type ClaimListener } from './allocator.ts';
import type { BudgetKey } from './backend.ts';
import type { ToLimitsClient } from './messages.ts';
import { type FiniteSupply, RateSupply, type RefillingSupply, SERVE_EVERY_MS } from './supply.ts';
import { IpcWorkerSession, type WorkerSession } from './worker-session.ts';

interface BandwidthBudgets {
  readonly name: string;
  readonly options: BandwidthOptions;
  /** `undefined` for an entry that only sets a priority. */
  rate: FillRate | undefined;
  readonly allocators: KeyedPool<Allocator<RefillingSupply>>;
}

/** Where the owner of the limits counts, if not in itself: a store that several machines share. Disposed with the owner. */
export interface SharedCounts extends AsyncDisposable {
  admission(options: LimitsOptions): OwnerAdmission;
  rate(of: BudgetKey, rate: FillRate): RefillingSupply;
}

/** The limits of several processes: requests are counted here one by one, bytes are leased in slices. */
export class IpcLimitsServer implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #counts: SharedCounts | undefined;
  readonly #admission: OwnerAdmission;
  #bandwidth: ReadonlyMap<string, BandwidthBudgets> = new Map();
  readonly #quotaAllocators = new Map<string, Allocator<FiniteSupply>>();
  readonly #sessions = new Set<IpcWorkerSession>();
  /** Those with claimants that wait for what comes with time. */
  readonly #waiting = new Set<Allocator<RefillingSupply>>();
  #timer: Disposable | undefined;

  /** With `counts` other instances share the limits. */
  constructor(options: LimitsOptions, deps: AdmissionDeps, counts?: SharedCounts) {
    this.#clock = deps.clock;
    this.#counts = counts;
    this.#admission = counts?.admission(options) ?? new LocalAdmission(options, deps);
    this.update(options);
  }

  /** As `prepare` and `commit`, at once. */
  update(options: LimitsOptions): void {
    atOnce(this.prepare(options)).commit();
  }

  /** To be committed before the workers commit the same limits: they name limits that must be known here. */
  *prepare(options: LimitsOptions): Sliced<{ commit(): void }> {
    const limitIds = new LimitIds(options);
    const next = new Map<string, BandwidthBudgets>();
    for (const entry of options.bandwidth) {
      yield;
      const { id, name } = limitIds.bandwidth(entry);
      const rate = entry.rate === undefined ? undefined : new FillRate(entry.rate, entry.burst);
      const allocators =
        this.#bandwidth.get(id)?.allocators ??
        new KeyedPool<Allocator<RefillingSupply>>(KEYS_MAX, ({ supply }) => supply.isFull);
      next.set(id, { name, options: entry, rate, allocators });
    }
    return {
      commit: () => {
        this.#admission.update(options, limitIds);
        for (const { rate, allocators } of next.values()) {
          if (rate) for (const { supply } of allocators.values()) supply.setRate(rate);
        }
        this.#bandwidth = next;
      },
    };
  }

  /** `send` is called with the messages for one more worker. */
  openSession(send: (messages: readonly ToLimitsClient[]) => void): WorkerSession {
    const session = new IpcWorkerSession(
      {
        admission: this.#admission,
        clock: this.#clock,
        join: (of, listener) => this.#join(of, listener),
        describe: () => this.describe(),
        onClosed: () => this.#sessions.delete(session),
      },
      send,
    );
    this.#sessions.add(session);
    return session;
  }

  /** As `Limits.setRate`, which every worker has to do as well. */
  setRate(name: string, rate: number): boolean {
    const budgets = [...this.#bandwidth.values()].find((one) => one.name === name);
    if (budgets?.rate === undefined) return false;
    budgets.rate = new FillRate(rate, budgets.options.burst);
    for (const { supply } of budgets.allocators.values()) supply.setRate(budgets.rate);
    return true;
  }

  /** All limits, with what is counted under them in all workers. */
  async describe(): Promise<LimitState[]> {
    const reports = await Promise.all([...this.#sessions].map((session) => session.report()));
    const reported = new Map<string, BandwidthState[]>();
    for (const state of reports.flat()) reported.set(state.name, [...(reported.get(state.name) ?? []), state]);
    const bandwidth = [...this.#bandwidth.values()].map((budgets) => total(budgets, reported.get(budgets.name) ?? []));
    return [...bandwidth, ...this.#admission.describe()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#admission[Symbol.asyncDispose]();
    await this.#counts?.[Symbol.asyncDispose]();
  }

  #join(of: BudgetKey, listener: ClaimListener): Claim {
    const claim = of.kind === 'quota' ? this.#joinQuota(of, listener) : this.#joinBandwidth(of, listener);
    return claim ?? unlimited(listener);
  }

  #joinBandwidth(of: BudgetKey, listener: ClaimListener): Claim | undefined {
    const { limit, key } = of;
    const { rate, allocators } = this.#bandwidth.get(limit) ?? {};
    if (rate === undefined || allocators === undefined) return undefined;
    const supply = () => this.#counts?.rate(of, rate) ?? new RateSupply(rate, this.#clock);
    const make = () => new Allocator<RefillingSupply>(supply(), (waiting) => this.#serveLater(waiting));
    return allocators.hold(key, make).join(listener, () => allocators.release(key));
  }

  #joinQuota({ limit, key }: BudgetKey, listener: ClaimListener): Claim | undefined {
    const opened = this.#admission.openQuota(limit, key);
    if (opened === undefined) return undefined;
    const id = JSON.stringify([limit, key]);
    const allocator = this.#quotaAllocators.get(id) ?? new Allocator<FiniteSupply>(opened.supply);
    this.#quotaAllocators.set(id, allocator);
    return allocator.join(listener, () => {
      if (allocator.claimants === 0) this.#quotaAllocators.delete(id);
      opened[Symbol.dispose]();
    });
  }

  #serveLater(allocator: Allocator<RefillingSupply>): void {
    this.#waiting.add(allocator);
    this.#timer ??= this.#clock.after(SERVE_EVERY_MS, () => {
      this.#timer = undefined;
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const one of waiting) one.serve();
    });
  }
}

/** Of a limit that was removed while a worker still leases under it. */
const unlimited = (listener: ClaimListener): Claim => ({
  want: ({ normal, background }) => {
    if (normal + background > 0) listener.onGranted(normal + background);
  },
  refund() {},
  surrender() {},
  [Symbol.dispose]() {},
});

function total({ name, options, rate }: BandwidthBudgets, states: readonly BandwidthState[]): BandwidthState {
  const { per, direction, priority } = options;
  const sum = (count: (state: BandwidthState) => number) => states.reduce((all, state) => all + count(state), 0);
  return {
    kind: 'bandwidth',
    name,
    per,
    direction,
    priority,
    rate: rate?.rate,
    users: sum(({ users }) => users),
    waiting: sum(({ waiting }) => waiting),
    bytes: sum(({ bytes }) => bytes),
  };
}
