import { hostKey } from './authority.ts';
import { globMatcher } from './glob.ts';
import { CidrMap, formatIp, type IpAddress, parseCidr, parseIp, withoutMapping } from './ip-address.ts';
import { judgedAs } from './ip-embedded.ts';

/** A target host, ready to be looked up. */
export interface HostQuery {
  /** Comparable form: lower case, no root dot, addresses in their canonical spelling. */
  readonly name: string;
  /** Of a literal address: itself first, then the IPv4 ones that a translator may find inside. Empty for a name. */
  readonly addresses: readonly IpAddress[];
}

/**
 * Which addresses a block of a rule means. `reached`: also those inside that a translator may lead to, so that no
 * spelling escapes a denial or a limit. `written`: only the literal one, for what allows. Anyone can own an IPv6 host
 * that merely looks as if it had an allowed IPv4 address inside (ISATAP is a pattern in the lower half, under whatever
 * prefix), and it would pass. IPv4-mapped addresses are their IPv4 either way.
 */
export type AddressSense = 'written' | 'reached';

/** `host` as the parser of targets has made it. */
export function hostQuery(host: string): HostQuery {
  const address = MAY_BE_ADDRESS.test(host) ? parseIp(host) : undefined;
  if (!address) return { name: hostKey(host), addresses: [] };
  const plain = withoutMapping(address);
  return { name: formatIp(plain), addresses: [...new Set([plain, ...judgedAs(plain)])] };
}
const MAY_BE_ADDRESS = /:|\d$/;

interface Bucket {
  /** Numbers of rules that name exactly this host. */
  readonly exact: number[];
  /** Numbers of rules for this domain and all below it. */
  readonly below: number[];
  /** Patterns whose end is this domain, so that only names below it are tried against them. */
  readonly globs: { readonly matches: (name: string) => boolean; readonly rule: number }[];
}

/**
 * Rule numbers by host pattern. A look-up costs one step per label of the name, and one per bit of an address, however
 * many patterns there are. The exception are globs: those that share the whole labels behind their last `*` are tried
 * one by one on every name below that domain. `ads*.cdn7.example` shares them with few, but ten thousand like
 * `*ads7.example.com` or `ads-7-*.example.com` are all tried on each name below example.com, which takes a few hundred
 * microseconds. Only the configuration bounds their number; one glob costs at most its length times that of the name.
 */
export class HostIndex {
  readonly #buckets = new Map<string, Bucket>();
  readonly #written = new CidrMap<number>();
  readonly #reached = new CidrMap<number>();

  /** Patterns as core/host-setting.ts has checked them; rule numbers come in ascending order. */
  add(given: string, rule: number, sense: AddressSense): void {
    const pattern = normalPattern(given);
    const block = parseCidr(pattern);
    if (block) (sense === 'written' ? this.#written : this.#reached).add(block, rule);
    else if (pattern.startsWith('.')) this.#bucket(pattern.slice(1)).below.push(rule);
    else if (pattern.includes('*')) {
      this.#bucket(literalDomain(pattern)).globs.push({ matches: globMatcher(pattern), rule });
    } else this.#bucket(pattern).exact.push(rule);
  }

  /** Lists of rule numbers whose patterns match, each ascending. */
  find({ name, addresses }: HostQuery): (readonly number[])[] {
    const found: (readonly number[])[] = [];
    const take = (list: readonly number[]) => {
      if (list.length > 0) found.push(list);
    };
    const takeBlocks = (blocks: CidrMap<number>) => (address: IpAddress) =>
      take(blocks.find(address).sort((a, b) => a - b));
    addresses.slice(0, 1).forEach(takeBlocks(this.#written));
    addresses.forEach(takeBlocks(this.#reached));
    take(this.#buckets.get(name)?.exact ?? []);
    let domain = name;
    for (;;) {
      const bucket = this.#buckets.get(domain);
      if (bucket) {
        // The parts of an address are no domains: nothing lies below them.
        if (addresses.length === 0) take(bucket.below);
        take(bucket.globs.filter(({ matches }) => matches(name)).map(({ rule }) => rule));
      }
      if (domain === '') return found;
      const dot = domain.indexOf('.');
      domain = dot < 0 ? '' : domain.slice(dot + 1);
    }
  }

  matches(query: HostQuery): boolean {
    return this.find(query).length > 0;
  }

  #bucket(domain: string): Bucket {
    const known = this.#buckets.get(domain);
    if (known) return known;
    const bucket: Bucket = { exact: [], below: [], globs: [] };
    this.#buckets.set(domain, bucket);
    return bucket;
  }
}

/** One spelling for all that mean the same: it is also the key by which patterns are counted. */
export function normalPattern(given: string): string {
  const bare = given.startsWith('[') ? given.slice(1, -1) : given;
  const pattern = bare.toLowerCase();
  return pattern.length > 1 && pattern.endsWith('.') ? pattern.slice(0, -1) : pattern;
}

/** Patterns with the same key are found together: what a rule costs whose pattern has this key. */
export function bucketKey(pattern: string): string {
  return pattern.includes('*') ? `*${literalDomain(pattern)}` : pattern;
}

/** The whole labels behind the last `*`: `ads*.cdn.example` ends in `cdn.example`, `*ads.example` in `example`. */
function literalDomain(glob: string): string {
  const tail = glob.slice(glob.lastIndexOf('*') + 1);
  const dot = tail.indexOf('.');
  return dot < 0 ? '' : tail.slice(dot + 1);
}
