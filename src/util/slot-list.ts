/** Something that a slot list may hold. Only the list reads and writes its slot. */
export interface SlotItem {
  slot: number;
}
export const NO_SLOT = -1;

/**
 * An unordered set of what is added and removed with every connection. V8's Set makes a new table from time to time, and
 * the old one points to it: once an old table has survived the collections of young objects, it keeps the next one, with
 * the connections in it, until a full collection, and so does that one the next. It kept a fifth of all garbage so.
 */
export class SlotList<T extends SlotItem> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** Any of them. */
  get first(): T | undefined {
    return this.#items[0];
  }

  /** `item` must not be in another list that uses the same slot. */
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

  /** The elements at the beginning of the iteration, without those that are removed before they are visited. */
  *[Symbol.iterator](): Iterator<T> {
    for (const item of this.#items.slice()) if (this.has(item)) yield item;
  }
}

/** An entry for something that is in another list already. */
export class SlotRef<T> implements SlotItem {
  slot: number = NO_SLOT;
  readonly of: T;

  constructor(of: T) {
    this.of = of;
  }
}
