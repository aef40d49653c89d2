import { isIP } from 'node:net';
import { ProxyError } from '../../contracts/failure.ts';
import { PROXY_ITSELF, type Resolver } from '../../contracts/resolver.ts';
import type { Clock } from '../../util/clock.ts';
import { LruMap } from '../../util/lru-map.ts';
import { lookupFailure } from '../node-failure.ts';
import { LookupShares } from './lookup-shares.ts';
import { Lookups } from './lookups.ts';
import { systemLookup } from './system-lookup.ts';

/** Names whose addresses are remembered; the one that was looked up longest ago is forgotten first. */
const NAMES_MAX = 4_096;
/** The system's resolver returns no TTL. Half a minute spares a lookup per tunnel and is shorter than most TTLs. */
const POSITIVE_TTL_MS = 30_000;
/** Long enough that a page with 100 requests to a missing name asks once, short enough that a corrected name works soon. */
const NEGATIVE_TTL_MS = 2_000;

type LookupResult = { readonly addresses: readonly string[] } | { readonly error: ProxyError };
interface Entry {
  readonly result: LookupResult;
  readonly untilMs: number;
}

/** Asks for the addresses of a name; see system-lookup.ts. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export interface CachingResolver extends Resolver {
  /** The network has changed: names may have other addresses in it, and the results of running lookups are not used. */
  forget(): void;
}

/**
 * Takes addresses from memory where it can, and looks a name up once for all requests that wait for it. `threads` is how many
 * names can be looked up at once; by default the resolver is one program's own, and nothing waits.
 */
export function cachingResolver(
  clock: Clock,
  ask: Lookup = systemLookup,
  threads: number = Number.POSITIVE_INFINITY,
): CachingResolver {
  const entries = new LruMap<string, Entry>(NAMES_MAX);
  /** Counts the networks; what was looked up in an older one is not remembered. */
  let network = 0;

  const keep = (host: string, result: LookupResult, forMs: number): LookupResult => {
    entries.set(host, { result, untilMs: clock.now() + forMs });
    return result;
  };
  const lookups = new Lookups<LookupResult>({
    clock,
    shares: new LookupShares(threads),
    ask: async (host) => {
      const asked = network;
      const result = await ask(host).then(
        (addresses): LookupResult => ({ addresses }),
        (cause): LookupResult => ({ error: lookupFailure(cause, `resolving ${host}`) }),
      );
      // A lookup for which there was no descriptor says nothing about the name.
      const wasAsked = !('error' in result) || result.error.code !== 'at_capacity';
      if (asked !== network || !wasAsked) return result;
      return keep(host, result, 'error' in result ? NEGATIVE_TTL_MS : POSITIVE_TTL_MS);
    },
  });
  const remembered = (host: string): LookupResult | undefined => {
    const entry = entries.peek(host);
    return entry !== undefined && entry.untilMs > clock.now() ? entry.result : undefined;
  };

  return {
    forget() {
      network += 1;
      entries.clear();
      lookups.forget();
    },
    known(host) {
      if (isIP(host) !== 0) return [host];
      const result = remembered(host);
      return result !== undefined && 'addresses' in result && result.addresses.length > 0
        ? result.addresses
        : undefined;
    },
    async resolve(host, signal, client = PROXY_ITSELF) {
      if (isIP(host) !== 0) return [host];
      const result = remembered(host) ?? (await lookups.lookup(host, client, signal));
      if ('error' in result) throw result.error;
      if (result.addresses.length === 0) throw new ProxyError('dns_failed', `${host} has no address`);
      return result.addresses;
    },
  };
}
