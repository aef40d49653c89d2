import { asProxyError } from '../../contracts/failure.ts';
import type { Resolver } from '../../contracts/resolver.ts';
import { leasedUrls } from './lease.ts';
import type { SystemWorld } from './world.ts';

/** Domains have three or four labels; each name costs a lookup on every network. */
const NAMES_MAX = 8;

/** A location of a PAC that the network names. */
export interface WpadUrl {
  readonly url: string;
  readonly by: 'DHCP' | 'DNS';
}

/**
 * Where the network has a PAC, best first: by DHCP, then by a host called `wpad` in one of this machine's domains.
 * Rejects when nothing is found and a name server did not answer: then the network is probably not up yet.
 */
export async function wpadUrls(
  world: SystemWorld,
  resolver: Resolver,
  wallMs: number,
  signal: AbortSignal,
): Promise<readonly WpadUrl[]> {
  const [leased, names] = await Promise.all([leasedUrls(world, wallMs), wpadNames(await ownDomains(world))]);
  const results = await Promise.all(names.map((name) => exists(name, resolver, signal)));
  const hosts = names.filter((_, at) => results[at] === 'yes');
  if (leased.length + hosts.length === 0 && results.includes('no answer'))
    throw new Error('the name servers did not answer whether this network has a PAC (WPAD)');
  return [
    ...leased.map((url) => ({ url, by: 'DHCP' }) as const),
    ...hosts.map((host) => ({ url: `http://${host}/wpad.dat`, by: 'DNS' }) as const),
  ];
}

async function exists(name: string, resolver: Resolver, signal: AbortSignal): Promise<'yes' | 'no' | 'no answer'> {
  try {
    await resolver.resolve(absolute(name), signal);
    return 'yes';
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return asProxyError(error).code === 'dns_timeout' ? 'no answer' : 'no';
  }
}

/**
 * With the root dot a name is resolved as it is. Without it the resolver would try one that does not exist below each
 * search domain, also below those that `wpadNames` excludes.
 */
export const absolute = (name: string): string => `${name}.`;

/** The domains of this machine: that of its host name, and the search domains of the resolver. */
async function ownDomains(world: SystemWorld): Promise<string[]> {
  const file = await world.read('/etc/resolv.conf');
  return [world.hostName().replace(/^[^.]*\.?/, ''), ...searchDomains(file?.text ?? '')];
}

/** Exported for its test: of `search` and `domain` lines the last one counts (resolv.conf(5)). */
export function searchDomains(text: string): string[] {
  const lines = [...text.matchAll(/^(?:search|domain)[ \t]+(.*)$/gm)];
  return (lines.at(-1)?.[1] ?? '')
    .replace(/[#;].*/, '')
    .split(/\s+/)
    .filter((word) => word !== '');
}

/**
 * `wpad` in each domain and in its parents, up to the registrable domain: above it, `wpad.co.uk` would belong to a
 * stranger, who could then read all traffic. The public suffix list decides which domain that is. In domains that are not
 * on the list (`corp.internal`) it is the last two labels; a single label (`lan`) has no owner, and is not tried.
 * Exported for its test.
 */
export async function wpadNames(domains: readonly string[]): Promise<string[]> {
  const { getDomain } = await import('tldts');
  const names = domains.flatMap((given) => {
    const domain = given.toLowerCase().replace(/\.$/, '');
    if (!/^(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}$/.test(domain)) return [];
    const registered = getDomain(domain, { allowPrivateDomains: true });
    if (registered === null || /^[\d.]+$/.test(domain)) return [];
    const labels = domain.split('.');
    const steps = labels.length - registered.split('.').length;
    return Array.from({ length: steps + 1 }, (_, step) => `wpad.${labels.slice(step).join('.')}`);
  });
  return [...new Set(names)].filter((name) => name.length <= 253).slice(0, NAMES_MAX);
}
