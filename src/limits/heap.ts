/** Something that can wait in one heap at a time; -1: it waits in none. */
export interface Slotted {
  slot: number;
}

/** What comes first by `before`, at a cost that grows with the logarithm; anything may leave from the middle. */
export class Heap<T extends Slotted> {
  readonly #items: T[] = [];
  readonly #before: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  has(item: T): boolean {
    return this.#items[item.slot] === item;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  remove(item: T): void {
    if (!this.has(item)) return;
    const at = item.slot;
    item.slot = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#rise(last, at);
    this.#sink(last, last.slot);
  }

  /** Puts `item` where it belongs after its order has changed. */
  moved(item: T): void {
    this.#rise(item, item.slot);
    this.#sink(item, item.slot);
  }

  /** Puts everything where it belongs after `change` has been made to each. */
  reorder(change: (item: T) => void): void {
    for (const item of this.#items) change(item);
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at--) {
      const item = this.#items[at];
      if (item !== undefined) this.#sink(item, at);
    }
  }

  #rise(item: T, from: number): void {
    let at = from;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = this.#items[up];
      if (parent === undefined || !this.#before(item, parent)) break;
      this.#place(parent, at);
      at = up;
    }
    this.#place(item, at);
  }

  #sink(item: T, from: number): void {
    let at = from;
    for (;;) {
      let next = 2 * at + 1;
      let child = this.#items[next];
      const right = this.#items[next + 1];
      if (child === undefined) break;
      if (right !== undefined && this.#before(right, child)) {
        child = right;
        next++;
      }
      if (!this.#before(child, item)) break;
      this.#place(child, at);
      at = next;
    }
    this.#place(item, at);
  }

  #place(item: T, at: number): void {
    this.#items[at] = item;
    item.slot = at;
  }
}
