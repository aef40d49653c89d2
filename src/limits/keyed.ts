/** How many of the longest unused entries are looked at whenever another one falls out of use. */
const SWEEP_STEPS = 2;

/** What is kept per client, user or host: made on demand, and forgotten when it says no more than a new one would. */
export class Keyed<T> {
  readonly #entries = new Map<string, { readonly value: T; holders: number }>();
  /** Keys that nobody holds, longest unused first. */
  readonly #unused = new Set<string>();
  readonly #isLikeNew: (value: T) => boolean;
  readonly #max: number;

  /** Beyond `max` entries the longest unused one is forgotten in any case; those in use are never. */
  constructor(max: number, isLikeNew: (value: T) => boolean) {
    this.#max = max;
    this.#isLikeNew = isLikeNew;
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
    this.#unused.add(key);
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
    let steps = SWEEP_STEPS;
    for (const key of this.#unused) {
      const entry = this.#entries.get(key);
      if (steps-- <= 0 || (entry && !this.#isLikeNew(entry.value))) return;
      this.#forget(key);
    }
  }

  #forgetSurplus(): void {
    if (this.#entries.size <= this.#max) return;
    const [oldest] = this.#unused;
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(key: string): void {
    this.#unused.delete(key);
    this.#entries.delete(key);
  }
}
