import type { Counter } from './counter.ts';
import type { Demand } from './lease.ts';

/** Less for each who waits is no turn of a relay: nobody could go on with it unless told that nothing more will come. */
const TURN_BYTES = 64 * 1024;
/** Each gets at most this part of what is left for it, so that little has to be called back near the end. */
const PARTS = 2;

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
  /** Who waits for what the others give up, and how much it wants. Each question is answered once. */
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
    const asked = [...this.#waiting.keys()];
    this.#share(() => Math.ceil(this.#counter.left() / this.#waiting.size));
    if (!isEnd) return;
    for (const customer of asked) customer.exhausted(this.#counter.waitMs());
    this.#waiting.clear();
  }

  #serve(): void {
    if (this.#recalled.size > 0) return;
    this.#share(() => Math.max(TURN_BYTES, Math.ceil(this.#counter.left() / (PARTS * this.#customers.size))));
    if (this.#waiting.size > 0) this.#recall();
  }

  /** Gives everybody who waits what it wants, but no more than its `part` of what is left. */
  #share(part: () => number): void {
    for (const [customer, wanted] of this.#waiting) {
      const left = this.#counter.left();
      if (left <= 0) return;
      const bytes = Math.min(wanted, left, part());
      this.#waiting.delete(customer);
      this.#counter.use(bytes);
      customer.granted(bytes);
    }
  }

  /** Asks everybody, those who wait as well: two who wait for the same rest would never get it together. */
  #recall(): void {
    for (const customer of this.#customers) this.#recalled.add(customer);
    for (const customer of this.#customers) customer.recall();
  }
}
