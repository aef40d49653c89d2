import type { ProxyRecord } from '../contracts/record.ts';

/** The records that were added last, at most so many. */
export class RecordRing {
  readonly #max: number;
  readonly #records: ProxyRecord[] = [];
  /** Where the next one goes. */
  #next = 0;
  #added = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(record: ProxyRecord): void {
    this.#added++;
    this.#records[this.#next] = record;
    this.#next = this.#next + 1 === this.#max ? 0 : this.#next + 1;
  }

  /** How many have been added so far. */
  get added(): number {
    return this.#added;
  }

  latestFirst(): ProxyRecord[] {
    return [...this.#records.slice(this.#next), ...this.#records.slice(0, this.#next)].reverse();
  }
}
