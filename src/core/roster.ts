/** Something that a roster may hold. Its place in it is the roster's to know and to change. */
export interface Listed {
  slot: number;
}
export const NO_SLOT = -1;

/**
 * What comes and goes with every connection, in no order. A Set would do, but V8's makes itself a new table now and then,
 * and the old one points to it: once an old one has outlived the collections of young objects, it keeps the next one,
 * with the connections in it, until a full collection, and so does that one the next. A fifth of all garbage was kept so.
 */
export class Roster<T extends Listed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** `item` must be in no other roster that knows it by the same slot. */
  add(item: T): void {
    item.slot = this.#items.length;
    this.#items.push(item);
  }

  has(item: T): boolean {
    return item.slot >= 0 && this.#items[item.slot] === item;
  }

  /** Whether it was there. */
  delete(item: T): boolean {
    if (!this.has(item)) return false;
    const last = this.#items.pop();
    if (last !== undefined && last !== item) {
      this.#items[item.slot] = last;
      last.slot = item.slot;
    }
    item.slot = NO_SLOT;
    return true;
  }

  /** Those who are here when it begins, without those who leave before it is their turn. */
  *[Symbol.iterator](): Iterator<T> {
    for (const item of this.#items.slice()) if (this.has(item)) yield item;
  }
}

/** The place in a roster of something that is in another one already. */
export class Seat<T> implements Listed {
  slot: number = NO_SLOT;
  readonly of: T;

  constructor(of: T) {
    this.of = of;
  }
}
