import { BURST_MS, LATE_MS, type Pace, TURN_BYTES_MIN } from './bucket.ts';
import type { Demand } from './lease.ts';

/** Those who wait for bytes are served this often: each time is a message to every process that waits. */
export const SERVE_EVERY_MS = 10;

/** One process at a budget: what it wants, and how it is told what it got. */
export interface Customer {
  demand: Demand;
  readonly granted: (bytes: number) => void;
}

export const NO_DEMAND: Demand = Object.freeze({ normal: 0, background: 0, flows: 0 });

type Kind = 'normal' | 'background';

/** The token bucket that several processes draw from. It shares by the flows of each; bytes are never lent twice. */
export class Till {
  readonly #customers = new Set<Customer>();
  #perMs = 0;
  #burst = 0;
  #level: number;
  #filledMs: number;

  constructor(pace: Pace, nowMs: number) {
    this.#filledMs = nowMs;
    this.#level = 0;
    this.setPace(pace, nowMs);
    this.#level = this.#burst;
  }

  setPace({ rate, burst }: Pace, nowMs: number): void {
    this.#fill(nowMs);
    this.#perMs = rate / 1000;
    this.#burst = Math.max(1, burst ?? this.#perMs * BURST_MS);
    this.#level = Math.min(this.#level, this.#capacity());
  }

  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#level >= this.#burst - 1;
  }

  want(customer: Customer, demand: Demand, nowMs: number): void {
    this.#fill(nowMs);
    customer.demand = demand;
    if (demand.normal + demand.background > 0) this.#customers.add(customer);
    else this.#customers.delete(customer);
  }

  giveBack(bytes: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#level = Math.min(this.#capacity(), this.#level + bytes);
  }

  leave(customer: Customer, nowMs: number): void {
    this.#fill(nowMs);
    this.#customers.delete(customer);
  }

  /** Serves as far as it goes. `false`: nobody waits any more. */
  serve(nowMs: number): boolean {
    this.#fill(nowMs);
    this.#share('normal', 0);
    // The rest takes what nobody else wants, and leaves half the burst, so that others find it there.
    if (this.#wanted('normal') === 0) this.#share('background', this.#burst / 2);
    for (const customer of this.#customers) {
      if (customer.demand.normal + customer.demand.background === 0) this.#customers.delete(customer);
    }
    return this.#customers.size > 0;
  }

  #share(kind: Kind, reserve: number): void {
    let there = Math.floor(this.#level - reserve);
    const wanted = this.#wanted(kind);
    // A grain: less is not worth a message.
    if (
      there <
      Math.min(
        wanted,
        Math.max(TURN_BYTES_MIN, (this.#perMs * SERVE_EVERY_MS) / 2),
        Math.floor(this.#capacity() - reserve),
      )
    )
      return;
    const hungry = [...this.#customers].filter(({ demand }) => demand[kind] > 0);
    // Who wants least comes first, so that what one leaves is there for the others.
    const need = ({ demand }: Customer) => demand[kind] / Math.max(1, demand.flows);
    hungry.sort((a, b) => need(a) - need(b));
    let flows = hungry.reduce((sum, { demand }) => sum + Math.max(1, demand.flows), 0);
    for (const customer of hungry) {
      const own = Math.max(1, customer.demand.flows);
      const bytes = Math.min(customer.demand[kind], Math.floor((there * own) / flows));
      flows -= own;
      if (bytes <= 0) continue;
      there -= bytes;
      this.#level -= bytes;
      customer.demand = { ...customer.demand, [kind]: customer.demand[kind] - bytes };
      customer.granted(bytes);
    }
  }

  #wanted(kind: Kind): number {
    let wanted = 0;
    for (const { demand } of this.#customers) wanted += demand[kind];
    return wanted;
  }

  #fill(nowMs: number): void {
    const passed = nowMs - this.#filledMs;
    if (passed <= 0) return;
    this.#filledMs = nowMs;
    this.#level = Math.min(this.#capacity(), this.#level + passed * this.#perMs);
  }

  /** While somebody waits it fills for longer: messages and timers come late on a busy machine. */
  #capacity(): number {
    return this.#customers.size > 0 ? Math.max(this.#burst, this.#perMs * LATE_MS) : this.#burst;
  }
}
