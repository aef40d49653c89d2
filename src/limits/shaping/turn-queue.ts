import { Heap, type HeapItem } from './heap.ts';

/** How far a tag may be ahead of the one that is being served: an ordinary turn is one quantum, and the next follows it. */
const AHEAD_QUANTA_MAX = 2;

/** The position of one gate in one queue. Tags are bytes, counted as the queue's virtual time. */
export class QueueEntry implements HeapItem {
  heapIndex = -1;
  /** Tag before the turn that it waits for, or had last. */
  startTag = 0;
  /** Tag after that turn, if it is used in full; the smallest is served first, and of equal ones the earliest `order`. */
  finishTag = 0;
  /** Tag after the last turn. */
  lastFinishTag = 0;
  /** Bytes of the take that it waits for, at most. */
  bytesMax = 0;
  order = 0;
  isBackground = false;
}

/** How many bytes one turn of an entry is: the bucket knows. */
interface TurnSizes {
  quantum(entry: QueueEntry): number;
}

const isEarlier = (a: QueueEntry, b: QueueEntry): boolean =>
  a.finishTag < b.finishTag || (a.finishTag === b.finishTag && a.order < b.order);

/**
 * Entries that wait for their turn, by weighted fair queueing with equal weights: the tag of each grows by the bytes that
 * it got, and first is the entry whose tag would be smallest after its turn. So a download gets one turn in each round,
 * while an echo, whose turns are small, has many before it falls behind. An entry that was away comes back at the tag
 * that is being served: it is served early, and gains nothing by having been away. Background entries are served when no
 * other entry waits.
 */
export class TurnQueue<E extends QueueEntry> {
  readonly #sizes: TurnSizes;
  readonly #normal = new Heap<E>(isEarlier);
  readonly #background = new Heap<E>(isEarlier);
  /**
   * Where an entry comes back that was away: the highest tag that was served before the present interval. Doubles lose
   * single bytes of it after 2^53, which moves no entry by more.
   */
  #virtual = 0;
  #virtualNext = 0;
  /** For how many entries the tags in the queue were made, at least half. */
  #taggedFor = 1;

  constructor(sizes: TurnSizes) {
    this.#sizes = sizes;
  }

  get size(): number {
    return this.#normal.size + this.#background.size;
  }

  get hasNormal(): boolean {
    return this.#normal.size > 0;
  }

  get first(): E | undefined {
    return this.#normal.first ?? this.#background.first;
  }

  /** Whether another entry is served before this one. */
  isBehind(entry: E): boolean {
    if (this.size === 0) return false;
    if (entry.isBackground && this.#normal.size > 0) return true;
    const { first } = this.#heapOf(entry);
    return first !== undefined && first !== entry && isEarlier(first, entry);
  }

  /** Tags the next turn of an entry, which is for `bytes` at most. */
  tag(entry: E, bytes: number): void {
    entry.startTag = Math.max(this.#virtual, entry.lastFinishTag);
    entry.bytesMax = bytes;
    this.#setFinishTag(entry);
  }

  push(entry: E): void {
    this.#heapOf(entry).push(entry);
    if (this.size <= 2 * this.#taggedFor) return;
    // Turns are shorter the more entries wait. Tags that still count on long turns would come after many turns of later
    // entries: the first of 500 would wait for a minute.
    this.#taggedFor = this.size;
    for (const heap of [this.#normal, this.#background]) heap.reorder((one) => this.#setFinishTag(one));
  }

  remove(entry: E): void {
    this.#normal.remove(entry);
    this.#background.remove(entry);
    this.#taggedFor = Math.min(this.#taggedFor, this.size + 1);
  }

  onSpent(entry: E, bytes: number): void {
    // What passed while no entry waited took nothing from another: only a turn of it counts against what follows.
    entry.lastFinishTag = entry.startTag + Math.min(bytes, this.#sizes.quantum(entry));
    this.#virtualNext = Math.max(this.#virtualNext, entry.startTag);
  }

  onRefunded(entry: E, bytes: number): void {
    entry.lastFinishTag = Math.max(entry.startTag, entry.lastFinishTag - bytes);
  }

  beginInterval(): void {
    this.#virtual = this.#virtualNext;
  }

  #setFinishTag(entry: E): void {
    const quantum = this.#sizes.quantum(entry);
    // A turn that was long when few waited is shortened when many do, or the entry would pay for it with many rounds.
    entry.startTag = Math.min(entry.startTag, this.#virtual + AHEAD_QUANTA_MAX * quantum);
    entry.finishTag = entry.startTag + Math.min(entry.bytesMax, quantum);
  }

  #heapOf(entry: E): Heap<E> {
    return entry.isBackground ? this.#background : this.#normal;
  }
}
