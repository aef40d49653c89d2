import { type Listed, NO_SLOT } from '../core/roster.ts';
import type { Gate, Permit, Unheeding } from '../core/stages.ts';
import type { Bandwidth, Passage } from './bandwidth.ts';
import type { BudgetHold } from './hook.ts';
import type { QuotaHold } from './quota.ts';
import type { Subject } from './subject.ts';

/** Where permits come from. */
export interface PermitHome {
  readonly bandwidth: Bandwidth;
  namesOf(subject: Subject): readonly string[];
  /** Called once. */
  closed(permit: LimitsPermit): void;
}

/** What all limits together have granted to one request. */
export class LimitsPermit implements Permit, Listed {
  slot: number = NO_SLOT;
  readonly subject: Subject;
  readonly #home: PermitHome;
  readonly #passage: Passage;
  readonly #budgets: BudgetHold;
  readonly #place: Disposable;
  #quotas: QuotaHold;
  #isOpen = true;

  /** Gives `place` back when it is over. */
  constructor(subject: Subject, place: Disposable, quotas: QuotaHold, budgets: BudgetHold, home: PermitHome) {
    this.subject = subject;
    this.#place = place;
    this.#home = home;
    this.#quotas = quotas;
    this.#budgets = budgets;
    this.#passage = home.bandwidth.open(subject, quotas.counters, bucketsOf(budgets, quotas));
  }

  /** Both gates are always there: a limit that is set later must find them. Without limits they grant at once. */
  get up(): Gate {
    return this.#passage.up;
  }

  get down(): Gate {
    return this.#passage.down;
  }

  get unheeding(): Unheeding | undefined {
    return this.#passage.unheeding;
  }

  set unheeding(told: Unheeding | undefined) {
    this.#passage.unheeding = told;
  }

  get limits(): readonly string[] {
    const { names } = this.#budgets;
    const own = this.#home.namesOf(this.subject);
    return names.length === 0 ? own : [...own, ...names];
  }

  /** Counts by other quotas from now on; the bandwidth room passes them on to the gates at its next update. */
  countBy(quotas: QuotaHold): void {
    const before = this.#quotas;
    this.#quotas = quotas;
    this.#passage.allowances = quotas.counters;
    this.#passage.extras = bucketsOf(this.#budgets, quotas);
    before[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#home.bandwidth.close(this.#passage);
    this.#budgets[Symbol.dispose]();
    this.#quotas[Symbol.dispose]();
    this.#home.closed(this);
    this.#place[Symbol.dispose]();
  }
}

const bucketsOf = (budgets: BudgetHold, quotas: QuotaHold): BudgetHold['buckets'] =>
  quotas.buckets === undefined ? budgets.buckets : [...budgets.buckets, ...quotas.buckets];
