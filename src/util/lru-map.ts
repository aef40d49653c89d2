/**
 * A map of bounded size: beyond `max` entries the one that was used longest ago is forgotten. `set` and `get` use an
 * entry, `peek` and `has` do not; where only `peek` reads, the entry that was written longest ago is forgotten.
 */
export class LruMap<K, V> {
  readonly #max: number;
  readonly #onForgotten: (value: V, key: K) => void;
  /** A Map iterates in the order of insertion: the entry that was used longest ago is first. */
  readonly #values = new Map<K, V>();

  /** `onForgotten` is called with an entry that gave way to another, not with one that was deleted or overwritten. */
  constructor(max: number, onForgotten: (value: V, key: K) => void = () => {}) {
    this.#max = max;
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#values.size;
  }

  has(key: K): boolean {
    return this.#values.has(key);
  }

  get(key: K): V | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    this.#values.delete(key);
    this.#values.set(key, value);
    return value;
  }

  /** The entry of `key`, made where there is none; either way it counts as used. */
  getOrCreate(key: K, make: () => V): V {
    const found = this.get(key);
    if (found !== undefined) return found;
    const made = make();
    this.set(key, made);
    return made;
  }

  peek(key: K): V | undefined {
    return this.#values.get(key);
  }

  set(key: K, value: V): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size <= this.#max) return;
    for (const [oldestKey, oldest] of this.#values) {
      this.#values.delete(oldestKey);
      this.#onForgotten(oldest, oldestKey);
      return;
    }
  }

  delete(key: K): boolean {
    return this.#values.delete(key);
  }

  clear(): void {
    this.#values.clear();
  }

  /** The key that was used longest ago first. */
  keys(): Iterable<K> {
    return this.#values.keys();
  }
}
