import { formatBytes, formatDuration, formatRate } from '../core/units.ts';
import type { BandwidthOptions, LimitsOptions, QuotaOptions, RequestOptions } from './options.ts';

/** How a limit is called, and how it is recognised again after a reload. */
export interface Identity {
  readonly name: string;
  /** Equal before and after a reload exactly if the limit still counts the same things. */
  readonly id: string;
}

/** Identities of all limits of one kind; equal ones are told apart by their place among their like. */
export class Names {
  readonly #taken: Set<string>;
  readonly #places = new Map<string, number>();

  constructor({ bandwidth, requests, quota }: LimitsOptions) {
    this.#taken = new Set([...bandwidth, ...requests, ...quota].flatMap(({ name }) => name ?? []));
  }

  bandwidth(limit: BandwidthOptions): Identity {
    const { name, per, rate, direction, match } = limit;
    const counts = `bandwidth ${per} ${direction} ${JSON.stringify(match ?? {})}`;
    const where = [per, direction === 'both' ? '' : direction, match ? matchWords(limit) : ''].filter(Boolean);
    return this.#identity(
      name,
      `bandwidth ${per}`,
      counts,
      `${where.join(' ')} ${rate ? formatRate(rate) : limit.priority}`,
    );
  }

  requests({ name, per, rate }: RequestOptions): Identity {
    return this.#identity(name, `requests ${per}`, `requests ${per}`, `${per} ${rate} requests/s`);
  }

  quota({ name, per, bytes, every }: QuotaOptions): Identity {
    const words = `${per} ${formatBytes(bytes)} per ${formatDuration(every)}`;
    return this.#identity(name, `quota ${per}`, `quota ${per}`, words);
  }

  #identity(name: string | undefined, kind: string, counts: string, words: string): Identity {
    if (name !== undefined) return { name, id: `${kind} named ${name}` };
    const place = (this.#places.get(counts) ?? 0) + 1;
    this.#places.set(counts, place);
    let unique = words;
    for (let again = 2; this.#taken.has(unique); again++) unique = `${words} #${again}`;
    this.#taken.add(unique);
    return { name: unique, id: `${counts} #${place}` };
  }
}

/** What an entry matches, in short: a name is for people, and may be long where it must tell entries apart. */
function matchWords({ match }: BandwidthOptions): string {
  const { hosts = [], users = [], clients = [], ports = [] } = match ?? {};
  const [first = '', ...more] = [...hosts, ...users, ...clients, ...ports].map(String);
  return more.length > 0 ? `${first} +${more.length}` : first;
}
