/** Something that an idle queue may hold, in one at a time. Only the queue reads and changes the links. */
export interface Queued<T> {
  earlier: T | undefined;
  later: T | undefined;
}

/**
 * Idle items, in the order in which they became idle. The links are in the items: to join and to leave costs no
 * memory, and what has left points to nothing that it would keep alive.
 */
export class IdleQueue<T extends Queued<T>> {
  #first: T | undefined;
  #last: T | undefined;

  /** The one that has been idle longest. */
  get first(): T | undefined {
    return this.#first;
  }

  add(item: T): void {
    item.earlier = this.#last;
    if (this.#last === undefined) this.#first = item;
    else this.#last.later = item;
    this.#last = item;
  }

  /** `item` is in this queue. */
  delete(item: T): void {
    const { earlier, later } = item;
    if (earlier === undefined) this.#first = later;
    else earlier.later = later;
    if (later === undefined) this.#last = earlier;
    else later.earlier = earlier;
    item.earlier = undefined;
    item.later = undefined;
  }
}
