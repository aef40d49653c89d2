import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Clock } from '../core/clock.ts';
import type { Resolver } from '../core/contracts.ts';
import { unlessAborted } from '../core/deadline.ts';
import { ProxyError } from '../core/failure.ts';
import { lookupFailure } from './node-failure.ts';

/** Names whose answers are remembered; the one that was asked for longest ago is forgotten first. */
const NAMES_MAX = 4_096;
/** The system's resolver tells no TTL. Half a minute spares a lookup per tunnel and is shorter than most TTLs. */
const FOUND_MS = 30_000;
/** Long enough that a page with 100 requests to a missing name asks once, short enough for who mends it. */
const FAILED_MS = 2_000;

type Answer = { readonly addresses: readonly string[] } | { readonly error: ProxyError };
interface Entry {
  readonly answer: Promise<Answer>;
  untilMs: number;
  /** The answer again, for those who do not want to wait for a promise. */
  found: readonly string[] | undefined;
}

/** Asks the system: it knows /etc/hosts, split DNS of a VPN and whatever else this machine resolves names with. */
export type Lookup = (host: string) => Promise<readonly string[]>;
const systemLookup: Lookup = async (host) =>
  (await lookup(host, { all: true, order: 'verbatim' })).map((found) => found.address);

export interface CachingResolver extends Resolver {
  /** The network is another one: names may have other addresses in it, and lookups that are under way are of no use. */
  forget(): void;
}

/** Answers from memory where it can, and asks once for all who want the same name at the same time. */
export function cachingResolver(clock: Clock, ask: Lookup = systemLookup): CachingResolver {
  const entries = new Map<string, Entry>();

  const begin = (host: string): Entry => {
    const entry: Entry = {
      untilMs: Number.POSITIVE_INFINITY,
      found: undefined,
      answer: ask(host).then(
        (addresses): Answer => {
          entry.untilMs = clock.now() + FOUND_MS;
          if (addresses.length > 0) entry.found = addresses;
          return { addresses };
        },
        (cause): Answer => {
          entry.untilMs = clock.now() + FAILED_MS;
          return { error: lookupFailure(cause, `resolving ${host}`) };
        },
      ),
    };
    if (entries.size >= NAMES_MAX) for (const oldest of entries.keys()) if (entries.delete(oldest)) break;
    entries.set(host, entry);
    return entry;
  };

  return {
    forget: () => entries.clear(),
    known(host) {
      if (isIP(host) !== 0) return [host];
      const entry = entries.get(host);
      return entry !== undefined && entry.untilMs > clock.now() ? entry.found : undefined;
    },
    async resolve(host, signal) {
      if (isIP(host) !== 0) return [host];
      const known = entries.get(host);
      const entry = known !== undefined && known.untilMs > clock.now() ? known : begin(host);
      const answer = await unlessAborted(entry.answer, signal);
      if ('error' in answer) throw answer.error;
      if (answer.addresses.length === 0) throw new ProxyError('dns_failed', `${host} has no address`);
      return answer.addresses;
    },
  };
}
