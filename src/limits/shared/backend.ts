import type { StopSignal } from '../../util/stop.ts';
import type { BandwidthState, LimitState } from '../limit-state.ts';
import type { LimitsOptions } from '../options.ts';
import type { Subject } from '../subject.ts';

/**
 * Limits that another process owns, as a process that serves requests uses them: the primary of several workers, or a
 * store that several proxies share. Each request is admitted by the owner, so that counts are exact; bytes are leased in
 * slices, so that not every read costs a message. `Limits` owns it, and disposes it last: then every permit and lease has
 * been given back, and the connection to the owner of the limits can be closed.
 */
export interface LimitsBackend extends AsyncDisposable {
  /** Admits one request; disposing ends it. Throws or rejects as a limit of this process would. */
  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable>;
  /** Leases from the budget of one key under one limit. Before a lease is disposed of, what is left is refunded. */
  openBudget(of: BudgetKey, listener: GrantListener): BudgetLease;
  /** Limits have changed: tunnels that were opened while no limit counted them are counted from now on. */
  update(options: LimitsOptions): void;
  /** A bandwidth limit has another rate until the next update. */
  setRate(name: string, rate: number): void;
  /** All limits, with what is counted under them in all processes. */
  describe(): Promise<readonly LimitState[]>;
  /** `report` returns what passes in this process, for the owner to add up. Called once. */
  reportWith(report: () => readonly BandwidthState[]): void;
}

/** Which budget: the id of the limit, which stays over a reload, and the client, user or host that it counts. */
export interface BudgetKey {
  readonly kind: 'bandwidth' | 'quota';
  readonly limit: string;
  readonly key: string;
}

/** Bytes that are wanted besides those that were granted; the latest call counts. */
export interface Demand {
  readonly normal: number;
  /** For gates that take only what other traffic leaves. */
  readonly background: number;
  /** How many gates want them: the owner shares by gates, in whichever process they are. */
  readonly gates: number;
}

export const NO_DEMAND: Demand = Object.freeze({ normal: 0, background: 0, gates: 0 });

/** A budget as one process uses it. */
export interface BudgetLease extends Disposable {
  want(demand: Demand): void;
  /** Returns bytes that were granted and that this process will not use soon. */
  refund(bytes: number): void;
}

/** What the owner sends to the holder of a lease. */
export interface GrantListener {
  onGranted(bytes: number): void;
  /** No more bytes come for so long, unless some are given back; those that were granted may be used up. */
  onExhausted(forMs: number): void;
  /** Another process needs bytes: returns how many this one gives up, all that it has not used. */
  onRecalled(): number;
}
