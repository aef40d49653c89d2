import type { Clock } from '../../util/clock.ts';
import type { OwnerAdmission } from '../counting/admission.ts';
import type { StoreState } from '../limit-state.ts';
import type { LimitsOptions } from '../options.ts';
import type { BudgetKey } from '../shared/backend.ts';
import type { SharedCounts } from '../shared/ipc-server.ts';
import type { FillRate } from '../token-bucket.ts';
import { QuotaLeases } from './quota-leases.ts';
import type { RateLease } from './rate-lease.ts';
import { RateLeases } from './rate-leases.ts';
import { StoreAdmission } from './store-admission.ts';
import { StoreLink, type StoreLinkOptions } from './store-link.ts';
import { StoreTable } from './store-table.ts';

/** The limits that several instances share through a store, as one of them uses them. */
export class StoreLimits implements SharedCounts {
  readonly #clock: Clock;
  readonly #link: StoreLink;
  readonly #rates: RateLeases;
  readonly #quotas: QuotaLeases;

  constructor(options: StoreLinkOptions) {
    this.#clock = options.clock;
    this.#link = new StoreLink(options);
    this.#rates = new RateLeases(this.#link, options.clock);
    this.#quotas = new QuotaLeases(this.#link, options.clock);
  }

  get state(): StoreState {
    return this.#link.state;
  }

  /** What instances tell one another besides what they count. */
  table(name: string): StoreTable {
    return new StoreTable(this.#link, name);
  }

  admission(options: LimitsOptions): OwnerAdmission {
    return new StoreAdmission(options, { link: this.#link, quotas: this.#quotas, clock: this.#clock });
  }

  rate(of: BudgetKey, rate: FillRate): RateLease {
    return this.#rates.open(of, rate);
  }

  /** Gives back all that is leased, so that the other instances need not wait until the leases end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#rates.leave(), this.#quotas.leave()]);
    await this.#link[Symbol.asyncDispose]();
  }
}
