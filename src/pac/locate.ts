import type { Clock } from '../core/clock.ts';
import type { Resolver } from '../core/contracts.ts';
import type { Hop } from '../core/stages.ts';
import { parseProxyUrl } from '../protocol/proxy-url.ts';
import { type PacAddress, pacAddress, shownAddress } from './address.ts';
import type { SystemSetting } from './discovery/setting.ts';
import { systemSetting } from './discovery/system.ts';
import type { SystemWorld } from './discovery/world.ts';
import { absolute, type WpadUrl, wpadUrls } from './discovery/wpad.ts';
import type { PacScript, PacState, SystemProxies } from './script.ts';

/** Somewhere that a PAC should lie. */
export interface Place {
  readonly address: PacAddress;
  /** Two places with one key are the same. */
  readonly key: string;
  /** For people, without secrets. */
  readonly shown: string;
  /** What proxies are trusted with at best; a script that came over plain `http:` is trusted less all the same. */
  readonly namedBy: PacScript['namedBy'];
  /** Who named it, where the user did not. */
  readonly foundBy: string | undefined;
  readonly resolve: Resolver['resolve'];
}

export type Found =
  /** Best first. */
  | { readonly kind: 'places'; readonly places: readonly [Place, ...Place[]]; readonly ignored: string | undefined }
  /** There is no script, and none is missing. */
  | { readonly kind: 'settled'; readonly state: PacState; readonly ignored: string | undefined };

export interface LocateScope {
  readonly pac: string;
  readonly clock: Clock;
  readonly resolver: Resolver;
  readonly isSelf: (address: string, port: number) => boolean;
  readonly system: SystemWorld;
}

/** Rejects with an Error for people, or with the signal's reason. */
export async function locate(scope: LocateScope, signal: AbortSignal): Promise<Found> {
  const { pac, resolver, system, clock } = scope;
  if (pac !== 'auto' && pac !== 'system') {
    const place = placeOf(pac, undefined, resolver);
    if (place === undefined) throw new Error('it is neither an http:, https:, file: or data: URL nor a path');
    return { kind: 'places', places: [place], ignored: undefined };
  }
  const { setting, ignored } = await withoutOurselves(await systemSetting(system), scope, signal);
  const looksOn = pac === 'auto' && (setting.kind === 'none' || setting.wpad === 'wanted');
  const leads = looksOn ? await leadsOf(setting, () => wpadUrls(system, resolver, clock.wallMs(), signal)) : [];
  const set = setting.kind === 'pac' ? placeOf(setting.url, setting.source, resolver) : undefined;
  const [first, ...more] = [...leads.flatMap((lead) => wpadPlace(lead, resolver) ?? []), ...(set ? [set] : [])];
  if (first !== undefined) return { kind: 'places', places: [first, ...more], ignored };
  if (setting.kind === 'proxies') {
    return { kind: 'settled', state: { at: 'system-proxies', proxies: setting.proxies }, ignored };
  }
  return { kind: 'settled', state: { at: 'none' }, ignored };
}

/** Name servers that owe an answer matter only where nothing else is known. */
async function leadsOf(setting: SystemSetting, ask: () => Promise<readonly WpadUrl[]>): Promise<readonly WpadUrl[]> {
  try {
    return await ask();
  } catch (error) {
    if (setting.kind === 'none') throw error;
    return [];
  }
}

function placeOf(text: string, foundBy: string | undefined, { resolve }: Resolver): Place | undefined {
  const address = pacAddress(text);
  if (address === undefined) return undefined;
  const key = address.kind === 'file' ? address.path : address.url;
  return { address, key, shown: shownAddress(address), namedBy: 'pac', foundBy, resolve };
}

/** Whoever answers first on a network names this one, so that not even `https:` says who it was. */
function wpadPlace({ url, by }: WpadUrl, { resolve }: Resolver): Place | undefined {
  const place = placeOf(url, `WPAD (${by})`, { resolve, known: () => undefined });
  if (place === undefined) return undefined;
  const exactly: Resolver['resolve'] = (host, signal) => resolve(absolute(host), signal);
  return { ...place, namedBy: 'untrusted-pac', resolve: by === 'DNS' ? exactly : resolve };
}

/**
 * Settings that lead to this very proxy are for other programs: whoever exports `http_proxy`, or gives the system our
 * own wrapped script, wants them to use us. `ignored` says so.
 */
async function withoutOurselves(
  setting: SystemSetting,
  { resolver, isSelf }: LocateScope,
  signal: AbortSignal,
): Promise<{ setting: SystemSetting; ignored: string | undefined }> {
  const leadsHere = async (host: string, port: number): Promise<boolean> => {
    const addresses = await resolver.resolve(host, signal).catch(() => []);
    return addresses.some((address) => isSelf(address, port));
  };
  const isOurs = async (proxy: string | undefined): Promise<boolean> => {
    const at = proxy === undefined ? undefined : hopOf(proxy)?.proxy;
    return at !== undefined && leadsHere(at.host, at.port);
  };
  if (setting.kind === 'pac') {
    const address = pacAddress(setting.url);
    if (address?.kind !== 'http') return { setting, ignored: undefined };
    const { hostname, port, protocol } = new URL(address.url);
    const number = Number(port) || (protocol === 'https:' ? 443 : 80);
    if (!(await leadsHere(hostname.replace(/^\[(.*)\]$/, '$1'), number))) return { setting, ignored: undefined };
    const ignored = `the PAC that ${setting.source} names comes from this proxy itself, and is not used here`;
    return { setting: { kind: 'none', wpad: setting.wpad }, ignored };
  }
  if (setting.kind === 'none') return { setting, ignored: undefined };
  const [isHttp, isHttps] = await Promise.all([isOurs(setting.proxies.http), isOurs(setting.proxies.https)]);
  if (!isHttp && !isHttps) return { setting, ignored: undefined };
  const left: SystemProxies = {
    ...setting.proxies,
    http: isHttp ? undefined : setting.proxies.http,
    https: isHttps ? undefined : setting.proxies.https,
  };
  const ignored = `the proxy that ${left.source} names is this proxy itself, and is not used here`;
  const isEmpty = left.http === undefined && left.https === undefined;
  return { setting: isEmpty ? { kind: 'none', wpad: setting.wpad } : { ...setting, proxies: left }, ignored };
}

function hopOf(proxy: string): Hop | undefined {
  try {
    return parseProxyUrl(proxy, 'user');
  } catch {
    return undefined;
  }
}
