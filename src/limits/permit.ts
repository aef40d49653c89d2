import type { Gate, LimitListener, Permit } from '../contracts/stages.ts';
import { NO_SLOT, type SlotItem } from '../util/slot-list.ts';
import type { QuotaHold } from './counting/quotas.ts';
import type { BudgetHold } from './hook.ts';
import type { Bandwidth, RequestShaping } from './shaping/bandwidth.ts';
import type { Subject } from './subject.ts';

/** Where permits come from. */
export interface PermitOwner {
  readonly bandwidth: Bandwidth;
  namesOf(subject: Subject): readonly string[];
  /** Called once. */
  onClosed(permit: LimitsPermit): void;
}

/** What all limits together have granted to one request. */
export class LimitsPermit implements Permit, SlotItem {
  slot: number = NO_SLOT;
  readonly subject: Subject;
  readonly #owner: PermitOwner;
  readonly #shaping: RequestShaping;
  readonly #budgets: BudgetHold;
  readonly #tunnelSlot: Disposable;
  #quotas: QuotaHold;
  #isOpen = true;

  /** Disposing ends all that it holds, `tunnelSlot` too. */
  constructor(subject: Subject, tunnelSlot: Disposable, quotas: QuotaHold, budgets: BudgetHold, owner: PermitOwner) {
    this.subject = subject;
    this.#tunnelSlot = tunnelSlot;
    this.#owner = owner;
    this.#quotas = quotas;
    this.#budgets = budgets;
    this.#shaping = owner.bandwidth.open(subject, quotas.counters, bucketsOf(budgets, quotas));
  }

  /** Both gates are always there, so that a limit that is set later can bind them. Without limits they grant at once. */
  get up(): Gate {
    return this.#shaping.up;
  }

  get down(): Gate {
    return this.#shaping.down;
  }

  get isIdle(): boolean {
    return this.#shaping.isIdle;
  }

  get limitListener(): LimitListener | undefined {
    return this.#shaping.limitListener;
  }

  set limitListener(listener: LimitListener | undefined) {
    this.#shaping.limitListener = listener;
  }

  get limits(): readonly string[] {
    const { names } = this.#budgets;
    const own = this.#owner.namesOf(this.subject);
    return names.length === 0 ? own : [...own, ...names];
  }

  /** How many buckets of bandwidth limits it holds. */
  get bucketCount(): number {
    return this.#shaping.bindings.length;
  }

  get heldBy(): string | undefined {
    return this.#owner.bandwidth.heldBy(this.#shaping);
  }

  /** Counts by other quotas from now on; `Bandwidth` passes them on to the gates at its next update. */
  countBy(quotas: QuotaHold): void {
    const before = this.#quotas;
    this.#quotas = quotas;
    this.#shaping.quotas = quotas.counters;
    this.#shaping.extras = bucketsOf(this.#budgets, quotas);
    before[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#owner.bandwidth.close(this.#shaping);
    this.#budgets[Symbol.dispose]();
    this.#quotas[Symbol.dispose]();
    this.#owner.onClosed(this);
    this.#tunnelSlot[Symbol.dispose]();
  }
}

const bucketsOf = (budgets: BudgetHold, quotas: QuotaHold): BudgetHold['buckets'] =>
  quotas.buckets === undefined ? budgets.buckets : [...budgets.buckets, ...quotas.buckets];
