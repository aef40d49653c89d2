/** How many unused entries are looked at, in turn, whenever another one falls out of use. */
const SWEEP_STEPS = 2;
/** All are looked at once in so many surplus entries, of the maximum: at each one it would cost a request milliseconds. */
const PRUNES_PER_MAX = 16;

/** What is kept per client, user or host: made on demand, and forgotten when it says no more than a new one would. */
export class Keyed<T> {
  readonly #entries = new Map<string, { readonly value: T; holders: number }>();
  /** Keys that nobody holds, longest unused first. */
  readonly #unused = new Set<string>();
  readonly #isLikeNew: (value: T) => boolean;
  readonly #forgotten: (value: T) => void;
  readonly #max: number;
  /** Where the sweep goes on: those it passes keep their place, or the longest unused would not be known. */
  #cursor: Iterator<string> = this.#unused.values();
  /** Surplus entries until all are looked at again. */
  #untilPrune = 0;

  /** Beyond `max` entries those like new are forgotten, or else the longest unused one; those in use are never. */
  constructor(max: number, isLikeNew: (value: T) => boolean, forgotten: (value: T) => void = () => {}) {
    this.#max = max;
    this.#isLikeNew = isLikeNew;
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#entries.size;
  }

  *values(): Iterable<T> {
    for (const { value } of this.#entries.values()) yield value;
  }

  *entries(): Iterable<readonly [string, T]> {
    for (const [key, { value }] of this.#entries) yield [key, value];
  }

  /** The entry of `key`, kept until as many `release` as `hold`. */
  hold(key: string, make: () => T): T {
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { value: make(), holders: 0 };
      this.#entries.set(key, entry);
      this.#forgetSurplus();
    }
    if (entry.holders === 0) this.#unused.delete(key);
    entry.holders++;
    return entry.value;
  }

  release(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry || --entry.holders > 0) return;
    if (this.#isLikeNew(entry.value)) this.#forget(key);
    else this.#unused.add(key);
    this.#sweep();
  }

  /** Looks without making or keeping anything. */
  peek(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Puts an entry that was kept elsewhere; nobody holds it yet. */
  restore(key: string, value: T): void {
    if (this.#entries.has(key)) return;
    this.#entries.set(key, { value, holders: 0 });
    this.#unused.add(key);
    this.#forgetSurplus();
  }

  /** Forgets everything unused that is like new. */
  prune(): void {
    for (const key of this.#unused) {
      const entry = this.#entries.get(key);
      if (!entry || this.#isLikeNew(entry.value)) this.#forget(key);
    }
  }

  #sweep(): void {
    for (let steps = SWEEP_STEPS; steps > 0; steps--) {
      const next = this.#cursor.next();
      if (next.done) {
        this.#cursor = this.#unused.values();
        return;
      }
      const entry = this.#entries.get(next.value);
      if (!entry || this.#isLikeNew(entry.value)) this.#forget(next.value);
    }
  }

  #forgetSurplus(): void {
    if (this.#entries.size <= this.#max) return;
    if (this.#untilPrune-- <= 0) {
      this.#untilPrune = Math.floor(this.#max / PRUNES_PER_MAX);
      this.prune();
      if (this.#entries.size <= this.#max) return;
    }
    const [oldest] = this.#unused;
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(key: string): void {
    const entry = this.#entries.get(key);
    this.#unused.delete(key);
    this.#entries.delete(key);
    if (entry) this.#forgotten(entry.value);
  }
}
