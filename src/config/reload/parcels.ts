import { Secret } from '../../contracts/secret.ts';
import type { Config } from '../config.ts';
import { isRecord, type Path } from '../problems.ts';

/**
 * A configuration on its way from one thread or process to another. A large one is taken apart into many small messages:
 * to read it as one takes longer than any request may wait.
 */
export type Parcel =
  /** Items of a list, or entries of a map, in order; what belongs into them has come before. */
  | { readonly part: number; readonly items: readonly unknown[]; readonly links: readonly Link[] }
  /** The last one: all that was not sent before. */
  | { readonly part: 'root'; readonly value: unknown; readonly links: readonly Link[] };

/** A value that belongs at a path of a message, and is not sent with it. */
interface Link {
  readonly path: Path;
  readonly is: { readonly list: number } | { readonly map: number } | { readonly secret: string };
}

/** Settings in one message: about 0.2 ms to read. */
const WEIGHT_MAX = 500;
/** A list or a map with more entries goes in parts. */
const ENTRIES_MAX = 32;

/** Takes a configuration apart. */
export function* parcelsOf(config: Config): Generator<Parcel, void, void> {
  const packer = new Packer();
  const links: Link[] = [];
  const value = yield* packer.pack(config, [], links);
  yield { part: 'root', value, links };
}

class Packer {
  #parts = 0;
  /** What several settings share, such as the hosts of a file, goes once. */
  readonly #sent = new Map<unknown, number>();
  /** Of what was packed since it was last asked for. */
  #weight = 0;

  *pack(value: unknown, path: Path, links: Link[]): Generator<Parcel, unknown, void> {
    this.#weight++;
    if (value instanceof Secret) {
      links.push({ path, is: { secret: value.reveal() } });
      return null;
    }
    if (Array.isArray(value)) {
      if (value.length > ENTRIES_MAX) {
        links.push({ path, is: { list: yield* this.#part(value, value) } });
        return null;
      }
      const items: unknown[] = [];
      for (const [at, item] of value.entries()) items.push(yield* this.pack(item, [...path, at], links));
      return items;
    }
    if (!isRecord(value)) return value;
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    if (entries.length > ENTRIES_MAX) {
      links.push({ path, is: { map: yield* this.#part(value, entries) } });
      return null;
    }
    const packed: [string, unknown][] = [];
    for (const [key, inner] of entries) packed.push([key, yield* this.pack(inner, [...path, key], links)]);
    // A user may be called `__proto__`, which an assignment would take for something else.
    return Object.fromEntries(packed);
  }

  *#part(of: unknown, items: readonly unknown[]): Generator<Parcel, number, void> {
    const known = this.#sent.get(of);
    if (known !== undefined) return known;
    const part = this.#parts++;
    this.#sent.set(of, part);
    let packed: unknown[] = [];
    let links: Link[] = [];
    this.#weight = 0;
    for (const item of items) {
      packed.push(yield* this.pack(item, [packed.length], links));
      if (this.#weight < WEIGHT_MAX) continue;
      yield { part, items: packed, links };
      [packed, links, this.#weight] = [[], [], 0];
    }
    yield { part, items: packed, links };
    return part;
  }
}

/** Puts a configuration together again. */
export class Unpacker {
  readonly #parts = new Map<number, unknown[]>();

  /** The whole configuration when this was the last one of its parcels. */
  add(parcel: Parcel): Config | undefined {
    if (parcel.part === 'root') {
      const [root] = this.#linked(
        [parcel.value],
        parcel.links.map(({ path, is }) => ({ path: [0, ...path], is })),
      );
      this.#parts.clear();
      // Its parts were checked where it was taken apart, and are put together as they were.
      return frozen(root) as Config;
    }
    const part = this.#parts.get(parcel.part) ?? [];
    this.#parts.set(parcel.part, part);
    for (const item of this.#linked(parcel.items, parcel.links)) part.push(frozen(item));
    return undefined;
  }

  #linked(items: readonly unknown[], links: readonly Link[]): readonly unknown[] {
    for (const { path, is } of links) {
      let holder: unknown = items;
      for (const step of path.slice(0, -1)) holder = isRecord(holder) ? holder[step] : undefined;
      const key = path.at(-1);
      if (isRecord(holder) && key !== undefined) holder[key] = this.#resolved(is);
    }
    return items;
  }

  #resolved(is: Link['is']): unknown {
    if ('secret' in is) return new Secret(is.secret);
    if ('list' in is) return Object.freeze(this.#parts.get(is.list) ?? []);
    return Object.freeze(Object.fromEntries((this.#parts.get(is.map) ?? []) as [string, unknown][]));
  }
}

/** Of plain data that was just received. What is frozen already was a part of its own. */
function frozen(value: unknown): unknown {
  if (!isRecord(value) || Object.isFrozen(value) || value instanceof Secret) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}
