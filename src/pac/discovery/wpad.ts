import type { Resolver } from '../../core/contracts.ts';
import { asProxyError } from '../../core/failure.ts';
import { leasedUrls } from './lease.ts';
import type { SystemWorld } from './world.ts';

/** Domains have three or four labels; each name costs a lookup on every network. */
const NAMES_MAX = 8;

/** A place that the network names. */
export interface WpadUrl {
  readonly url: string;
  readonly by: 'DHCP' | 'DNS';
}

/**
 * Where the network says that a PAC lies, best first: by DHCP, then by a host called `wpad` in one of our domains.
 * Rejects when nothing is found and a name server owes an answer: the network is not up yet, rather than without one.
 */
export async function wpadUrls(
  world: SystemWorld,
  resolver: Resolver,
  wallMs: number,
  signal: AbortSignal,
): Promise<readonly WpadUrl[]> {
  const [leased, names] = await Promise.all([leasedUrls(world, wallMs), wpadNames(await ownDomains(world))]);
  const asked = await Promise.all(names.map((name) => exists(name, resolver, signal)));
  const hosts = names.filter((_, at) => asked[at] === 'yes');
  if (leased.length + hosts.length === 0 && asked.includes('no answer'))
    throw new Error('name servers do not say whether this network has a PAC (WPAD)');
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
 * With the dot at its end a name is looked up as it is. Without it, one that does not exist would be tried again below
 * each search domain, which is beyond what the walk below allows.
 */
export const absolute = (name: string): string => `${name}.`;

/** Domains that this machine is in: of its own name, and those that the resolver searches. */
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
 * `wpad` in each domain and in those above it, up to the one that somebody can register and no further: beyond it,
 * `wpad.co.uk` would be a stranger, who would from then on read all that passes. Which that is, the public suffix list
 * knows; domains of which it knows nothing (`corp.internal`) are registered below their last label, and a single label
 * (`lan`) is none that anybody owns. Exported for its test.
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
