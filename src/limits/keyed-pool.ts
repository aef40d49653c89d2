/** Clients, users or hosts that one limit keeps budgets of while they are not in use and not yet full. */
export const KEYS_MAX = 100_000;
/** How many unused entries are checked, in turn, whenever another one falls out of use. */
const SWEEP_STEPS = 2;
/** All are checked once in this part of the maximum of surplus entries: at each one it would cost a request milliseconds. */
const PRUNES_PER_MAX = 16;

/** What is kept per client, user or host: made on demand, and forgotten when it holds no more than a new one would. */
export class KeyedPool<T> {
  readonly #entries = new Map<string, { readonly value: T; holders: number }>();
  /** Keys that no request holds, longest unused first. */
  readonly #unused = new Set<string>();
  readonly #isLikeNew: (value: T) => boolean;
  readonly #onForgotten: (value: T) => void;
  readonly #max: number;
  /** Where the sweep goes on: entries that it passes keep their position, or the longest unused would not be known. */
  #cursor: Iterator<string> = this.#unused.values();
  /** Surplus entries until all are checked again. */
  #untilPrune = 0;
  #holders = 0;

  /** Beyond `max` entries those like new are forgotten, or else the longest unused one; an entry in use never is. */
  constructor(max: number, isLikeNew: (value: T) => boolean, onForgotten: (value: T) => void = () => {}) {
    this.#max = max;
    this.#isLikeNew = isLikeNew;
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Calls of `hold` without their `release`. */
  get holders(): number {
    return this.#holders;
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
    this.#holders++;
    return entry.value;
  }

  release(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#holders--;
    if (--entry.holders > 0) return;
    if (this.#isLikeNew(entry.value)) this.#forget(key);
    else this.#unused.add(key);
    this.#sweep();
  }

  /** Looks without making or keeping anything. */
  peek(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Puts an entry that was kept elsewhere; no request holds it yet. */
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
    if (entry) this.#onForgotten(entry.value);
  }
}
