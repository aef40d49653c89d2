import type { BandwidthOptions, LimitsOptions, QuotaOptions, RequestOptions } from './options.ts';

/** The name of a limit, and the id by which it is recognised after a reload. */
export interface LimitId {
  readonly name: string;
  /** Equal before and after a reload exactly if the limit still counts the same. */
  readonly id: string;
}

/**
 * Names and ids of all limits of a configuration, asked for in its order. Without a name of its own a limit is called by its
 * place, `bandwidth-1`: a name that holds the rate would be wrong once another one is set.
 */
export class LimitIds {
  readonly #taken: ReadonlySet<string>;
  readonly #places = new Map<string, number>();
  readonly #ordinals = new Map<string, number>();

  constructor({ bandwidth, requests, quota }: LimitsOptions) {
    this.#taken = new Set([...bandwidth, ...requests, ...quota].flatMap(({ name }) => name ?? []));
  }

  bandwidth({ name, per, direction, match }: BandwidthOptions): LimitId {
    return this.#limitId('bandwidth', name, per, `${direction} ${JSON.stringify(match ?? {})}`);
  }

  requests({ name, per }: RequestOptions): LimitId {
    return this.#limitId('requests', name, per);
  }

  quota({ name, per }: QuotaOptions): LimitId {
    return this.#limitId('quota', name, per);
  }

  #limitId(kind: string, given: string | undefined, per: string, counts = ''): LimitId {
    const place = next(this.#places, kind);
    if (given !== undefined) return { name: given, id: `${kind} ${per} named ${given}` };
    const what = `${kind} ${per} ${counts}`.trimEnd();
    return { name: this.#free(`${kind}-${place}`), id: `${what} #${next(this.#ordinals, what)}` };
  }

  /** Another limit may have been given this name; no two of ours can be the same. */
  #free(name: string): string {
    let free = name;
    while (this.#taken.has(free)) free = `${free}-unnamed`;
    return free;
  }
}

function next(counts: Map<string, number>, key: string): number {
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return count;
}
