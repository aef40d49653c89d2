import type { Counter } from './counter.ts';
import type { Demand } from './lease.ts';

/** Less for each who waits is no turn of a relay: nobody could go on with it unless told that nothing more will come. */
const TURN_BYTES = 64 * 1024;

/** One process that uses a quota, and how it is spoken to. */
export interface QuotaCustomer {
  readonly granted: (bytes: number) => void;
  readonly exhausted: (forMs: number) => void;
  /** Asks it to give up what it has not used; it answers by `yielded`. */
  readonly recall: () => void;
}

/** Lends the bytes of one counter to several processes; together they use all of it and not one byte more. */
export class QuotaDesk {
  readonly #counter: Counter;
  readonly #customers = new Set<QuotaCustomer>();
  /** Who waits for what the others give up, and how much they want. */
  readonly #waiting = new Map<QuotaCustomer, number>();
  readonly #recalled = new Set<QuotaCustomer>();

  constructor(counter: Counter) {
    this.#counter = counter;
  }

  get customers(): number {
    return this.#customers.size;
  }

  join(customer: QuotaCustomer): void {
    this.#customers.add(customer);
  }

  leave(customer: QuotaCustomer): void {
    this.#customers.delete(customer);
    this.#waiting.delete(customer);
    this.yielded(customer, 0);
  }

  want(customer: QuotaCustomer, { normal, background }: Demand): void {
    const bytes = normal + background;
    if (bytes <= 0) return void this.#waiting.delete(customer);
    this.#waiting.set(customer, bytes);
    this.#serve();
  }

  giveBack(bytes: number): void {
    this.#counter.giveBack(bytes);
    this.#serve();
  }

  yielded(customer: QuotaCustomer, bytes: number): void {
    if (bytes > 0) this.#counter.giveBack(bytes);
    if (!this.#recalled.delete(customer) || this.#recalled.size > 0) return;
    const isEnd = this.#counter.left() < TURN_BYTES * this.#waiting.size;
    this.#share();
    if (!isEnd) return;
    for (const waiting of this.#waiting.keys()) waiting.exhausted(this.#counter.waitMs());
    this.#waiting.clear();
  }

  #serve(): void {
    if (this.#recalled.size > 0) return;
    this.#share();
    if (this.#waiting.size > 0 && this.#counter.left() <= 0) this.#recall();
  }

  /** Everybody who waits gets the same part of what is left, or less if it wants less. */
  #share(): void {
    let parts = this.#waiting.size;
    for (const [customer, wanted] of this.#waiting) {
      const bytes = Math.min(wanted, Math.ceil(this.#counter.left() / parts--));
      if (bytes <= 0) continue;
      this.#counter.use(bytes);
      if (bytes < wanted) this.#waiting.set(customer, wanted - bytes);
      else this.#waiting.delete(customer);
      customer.granted(bytes);
    }
  }

  /** Asks everybody, those who wait as well: two who wait for the same rest would never get it together. */
  #recall(): void {
    for (const customer of this.#customers) this.#recalled.add(customer);
    for (const customer of this.#customers) customer.recall();
  }
}
