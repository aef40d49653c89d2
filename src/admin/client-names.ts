import { Resolver } from 'node:dns/promises';
import { parseIp } from '../protocol/addresses/ip-address.ts';
import { classify } from '../protocol/addresses/ip-class.ts';
import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';

/** Gives the names of an address. Rejects when there are none. */
export type ReverseLookup = (address: string) => Promise<readonly string[]>;

const IN_FLIGHT_MAX = 4;
/** Addresses that wait for a lookup; a later look asks for the others again. */
const WAITING_MAX = 256;
const NAMES_MAX = 4_096;
/** Also where there is no name: devices get another address now and then, and a name server is not asked in vain. */
const KEPT_MS = 600_000;
const LOOKUP_MS = 2_000;
/** As long as a name in DNS can be. */
const NAME_CHARACTERS_MAX = 253;

interface Known {
  readonly name: string | undefined;
  readonly sinceMs: number;
}

/** Of an address that is not looked up. */
const NEVER: Known = { name: undefined, sinceMs: Number.POSITIVE_INFINITY };

/**
 * Names of clients by reverse DNS, of private addresses alone: a public one would tell its name server that we look. What a
 * name server answers is text for people, and decides nothing.
 */
export class ClientNames {
  readonly #clock: Clock;
  readonly #lookup: ReverseLookup;
  readonly #known = new LruMap<string, Known>(NAMES_MAX);
  readonly #waiting = new Set<string>();
  #inFlight = 0;

  constructor(clock: Clock, lookup: ReverseLookup = systemLookup()) {
    this.#clock = clock;
    this.#lookup = lookup;
  }

  /** The name that is known now; where none is, it is looked up for the next look. */
  nameOf(address: string): string | undefined {
    // For each row in each look: what is known costs one look into a map.
    const known = this.#known.peek(address);
    if (known !== undefined && this.#clock.now() - known.sinceMs < KEPT_MS) return known.name;
    if (known === undefined && !isPrivate(address)) this.#known.set(address, NEVER);
    else if (this.#waiting.size < WAITING_MAX) {
      this.#waiting.add(address);
      this.#begin();
    }
    return known?.name;
  }

  #begin(): void {
    for (const address of this.#waiting) {
      if (this.#inFlight >= IN_FLIGHT_MAX) return;
      this.#waiting.delete(address);
      // Until it is answered, nothing else asks for it.
      this.#known.set(address, { name: this.#known.peek(address)?.name, sinceMs: this.#clock.now() });
      this.#inFlight += 1;
      void this.#find(address);
    }
  }

  async #find(address: string): Promise<void> {
    let name: string | undefined;
    try {
      name = shownName(await this.#lookup(address));
    } catch {
      // Most clients have no name; that is known for a while, too.
    }
    this.#known.set(address, { name, sinceMs: this.#clock.now() });
    this.#inFlight -= 1;
    this.#begin();
  }
}

const systemLookup = (): ReverseLookup => {
  // Not getnameinfo, which would take threads of the pool that resolves names of targets.
  const resolver = new Resolver({ timeout: LOOKUP_MS, tries: 1 });
  return (address) => resolver.reverse(address);
};

function isPrivate(address: string): boolean {
  const ip = parseIp(address);
  return ip !== undefined && classify(ip) === 'private';
}

/** Without control characters, and not longer than a name can be. */
function shownName([first]: readonly string[]): string | undefined {
  const name = first?.replace(/[\p{Cc}\p{Cf}]/gu, '').slice(0, NAME_CHARACTERS_MAX);
  return name || undefined;
}
