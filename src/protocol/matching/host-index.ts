import { hostKey } from '../addresses/authority.ts';
import { CidrMap, formatIp, type IpAddress, parseCidr, parseIp, withoutMapping } from '../addresses/ip-address.ts';
import { effectiveAddresses } from '../addresses/ip-embedded.ts';
import { globMatcher } from './glob.ts';

/** A target host, prepared for lookups. */
export interface HostQuery {
  /** Comparable form: lower case, no root dot, addresses in their canonical spelling. */
  readonly name: string;
  /** For a literal address: itself first, then the IPv4 addresses that a translator may find inside. Empty for a name. */
  readonly addresses: readonly IpAddress[];
}

/**
 * Which addresses of a host a block of a rule is compared with. `reached`: also the IPv4 addresses inside that a
 * translator may lead to, so that no spelling escapes a denial or a limit. `written`: only the literal one, for rules that
 * allow: anyone can own an IPv6 host that merely seems to contain an allowed IPv4 address (ISATAP is a pattern in the
 * lower half, under any prefix). IPv4-mapped addresses count as IPv4 in both.
 */
export type AddressSense = 'written' | 'reached';

/** `host`: as parseHost returns it. */
export function hostQuery(host: string): HostQuery {
  const address = MAY_BE_ADDRESS.test(host) ? parseIp(host) : undefined;
  if (!address) return { name: hostKey(host), addresses: [] };
  const plain = withoutMapping(address);
  return { name: formatIp(plain), addresses: [...new Set([plain, ...effectiveAddresses(plain)])] };
}
const MAY_BE_ADDRESS = /:|\d$/;

interface Glob {
  readonly matches: (name: string) => boolean;
  readonly rule: number;
}

/** Most hosts have one of the three lists; for 100,000 hosts two empty lists each would take 10 MB. */
interface Bucket {
  /** Numbers of rules that name exactly this host. */
  exact: number[] | undefined;
  /** Numbers of rules for this domain and all below it. */
  below: number[] | undefined;
  /** Patterns whose end is this domain, so that only names below it are tried against them. */
  globs: Glob[] | undefined;
}

/**
 * Rule numbers by host pattern. A look-up costs one step per label of the name, and one per bit of an address, however
 * many patterns there are. The exception are globs: those with the same whole labels behind their last `*` are tried one
 * by one on every name below that domain. Few share those of `ads*.cdn7.example`, but ten thousand like
 * `*ads7.example.com` or `ads-7-*.example.com` are all tried on each name below example.com, which takes a few hundred
 * microseconds. Only the configuration bounds their number; one glob costs at most its length times that of the name.
 */
export class HostIndex {
  readonly #buckets = new Map<string, Bucket>();
  readonly #written = new CidrMap<number>();
  readonly #reached = new CidrMap<number>();

  /** Patterns as settings/host-setting.ts has checked them; rule numbers come in ascending order. */
  add(given: string, rule: number, sense: AddressSense): void {
    const pattern = normalPattern(given);
    const block = parseCidr(pattern);
    if (block) (sense === 'written' ? this.#written : this.#reached).add(block, rule);
    else if (pattern.startsWith('.')) {
      const bucket = this.#bucket(pattern.slice(1));
      if (bucket.below === undefined) bucket.below = [rule];
      else bucket.below.push(rule);
    } else if (pattern.includes('*')) {
      const bucket = this.#bucket(literalDomain(pattern));
      const glob = { matches: globMatcher(pattern), rule };
      if (bucket.globs === undefined) bucket.globs = [glob];
      else bucket.globs.push(glob);
    } else {
      const bucket = this.#bucket(pattern);
      if (bucket.exact === undefined) bucket.exact = [rule];
      else bucket.exact.push(rule);
    }
  }

  /** Lists of rule numbers whose patterns match, each ascending. */
  find({ name, addresses }: HostQuery): (readonly number[])[] {
    const found: (readonly number[])[] = [];
    const take = (list: readonly number[] | undefined) => {
      if (list !== undefined && list.length > 0) found.push(list);
    };
    const takeBlocks = (blocks: CidrMap<number>) => (address: IpAddress) =>
      take(blocks.find(address).sort((a, b) => a - b));
    addresses.slice(0, 1).forEach(takeBlocks(this.#written));
    addresses.forEach(takeBlocks(this.#reached));
    take(this.#buckets.get(name)?.exact);
    let domain = name;
    for (;;) {
      const bucket = this.#buckets.get(domain);
      if (bucket) {
        // The parts of an address are not domains, so suffix patterns do not apply to them.
        if (addresses.length === 0) take(bucket.below);
        take(bucket.globs?.filter(({ matches }) => matches(name)).map(({ rule }) => rule));
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
    const bucket: Bucket = { exact: undefined, below: undefined, globs: undefined };
    this.#buckets.set(domain, bucket);
    return bucket;
  }
}

/** The canonical spelling of a pattern, which is also the key by which patterns are counted. */
export function normalPattern(given: string): string {
  const bare = given.startsWith('[') ? given.slice(1, -1) : given;
  const pattern = bare.toLowerCase();
  return pattern.length > 1 && pattern.endsWith('.') ? pattern.slice(0, -1) : pattern;
}

/** Patterns with the same key are found together, so a rule costs as much as there are patterns with its key. */
export function bucketKey(pattern: string): string {
  return pattern.includes('*') ? `*${literalDomain(pattern)}` : pattern;
}

/** The whole labels behind the last `*`: `ads*.cdn.example` ends in `cdn.example`, `*ads.example` in `example`. */
function literalDomain(glob: string): string {
  const tail = glob.slice(glob.lastIndexOf('*') + 1);
  const dot = tail.indexOf('.');
  return dot < 0 ? '' : tail.slice(dot + 1);
}
