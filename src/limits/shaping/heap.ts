/** An item of at most one heap at a time; -1: of none. */
export interface HeapItem {
  heapIndex: number;
}

/** A binary heap: the first item by `before`; any item can be removed, at a cost that grows with the logarithm. */
export class Heap<T extends HeapItem> {
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
    return this.#items[item.heapIndex] === item;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  remove(item: T): void {
    if (!this.has(item)) return;
    const at = item.heapIndex;
    item.heapIndex = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#rise(last, at);
    this.#sink(last, last.heapIndex);
  }

  /** Restores the order after that of `item` has changed. */
  reposition(item: T): void {
    this.#rise(item, item.heapIndex);
    this.#sink(item, item.heapIndex);
  }

  /** Restores the order after `change` has been made to every item. */
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
    item.heapIndex = at;
  }
}
