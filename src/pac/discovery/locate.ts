import type { Resolver } from '../../contracts/resolver.ts';
import type { Hop } from '../../contracts/stages.ts';
import { urlAuthority } from '../../protocol/addresses/authority.ts';
import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import type { Clock } from '../../util/clock.ts';
import { type PacAddress, pacAddress, shownAddress } from '../fetch/address.ts';
import type { PacScript, PacState, SystemProxies } from '../script.ts';
import { beforeSetup, settingBefore } from './before-setup.ts';
import type { SystemSetting } from './setting.ts';
import { systemSetting } from './system.ts';
import type { SystemWorld } from './world.ts';
import { absolute, type WpadUrl, wpadUrls } from './wpad.ts';

/** Where a PAC should be. */
export interface PacLocation {
  readonly address: PacAddress;
  /** Two locations with the same key are the same. */
  readonly key: string;
  /** For messages, without secrets. */
  readonly shown: string;
  /** The highest trust of its proxies; a script that came over plain `http:` is trusted less all the same. */
  readonly namedBy: PacScript['namedBy'];
  /** What named it (`GNOME`, `WPAD (DNS)`), where the configuration did not. */
  readonly foundBy: string | undefined;
  /** WPAD found it: no user has configured that there is a script. */
  readonly isGuess?: true;
  readonly resolve: Resolver['resolve'];
}

export type LocateResult =
  /** Best first. */
  | {
      readonly kind: 'locations';
      readonly locations: readonly [PacLocation, ...PacLocation[]];
      readonly ignored: string | undefined;
    }
  /** There is no script, and none is missing. */
  | { readonly kind: 'settled'; readonly state: PacState; readonly ignored: string | undefined };

export interface LocateScope {
  readonly pac: string;
  readonly clock: Clock;
  readonly resolver: Resolver;
  readonly isSelf: (address: string, port: number) => boolean;
  readonly system: SystemWorld;
}

/** Rejects with an Error whose message is shown to the user, or with the signal's reason. */
export async function locatePac(scope: LocateScope, signal: AbortSignal): Promise<LocateResult> {
  const { pac, resolver, system, clock } = scope;
  if (pac !== 'auto' && pac !== 'system') {
    const location = locationOf(pac, undefined, resolver);
    if (location === undefined) throw new Error('it is not an http:, https:, file: or data: URL, and not a path');
    return { kind: 'locations', locations: [location], ignored: undefined };
  }
  const { setting, ignored } = await settingOfOthers(scope, signal);
  const usesWpad = pac === 'auto' && (setting.kind === 'none' || setting.wpad === 'wanted');
  const candidates = usesWpad
    ? await candidatesOf(setting, () => wpadUrls(system, resolver, clock.wallMs(), signal))
    : [];
  const set = setting.kind === 'pac' ? locationOf(setting.url, setting.source, resolver) : undefined;
  const [first, ...more] = [
    ...candidates.flatMap((candidate) => wpadLocation(candidate, resolver) ?? []),
    ...(set ? [set] : []),
  ];
  if (first !== undefined) return { kind: 'locations', locations: [first, ...more], ignored };
  if (setting.kind === 'proxies') {
    return { kind: 'settled', state: { at: 'system-proxies', proxies: setting.proxies }, ignored };
  }
  return { kind: 'settled', state: { at: 'none' }, ignored };
}

/** The URLs of WPAD. That name servers did not answer is an error only where the settings name nothing else. */
async function candidatesOf(
  setting: SystemSetting,
  ask: () => Promise<readonly WpadUrl[]>,
): Promise<readonly WpadUrl[]> {
  try {
    return await ask();
  } catch (error) {
    if (setting.kind === 'none') throw error;
    return [];
  }
}

function locationOf(text: string, foundBy: string | undefined, { resolve }: Resolver): PacLocation | undefined {
  const address = pacAddress(text);
  if (address === undefined) return undefined;
  const key = address.kind === 'file' ? address.path : address.url;
  return { address, key, shown: shownAddress(address), namedBy: 'pac', foundBy, resolve };
}

/** Any machine on the network can answer WPAD first, so not even `https:` makes this location trustworthy. */
function wpadLocation({ url, by }: WpadUrl, { resolve }: Resolver): PacLocation | undefined {
  const location = locationOf(url, `WPAD (${by})`, { resolve, known: () => undefined });
  if (location === undefined) return undefined;
  const exactly: Resolver['resolve'] = (host, signal) => resolve(absolute(host), signal);
  return { ...location, namedBy: 'untrusted-pac', isGuess: true, resolve: by === 'DNS' ? exactly : resolve };
}

/** The system's setting; where `viaduct setup` has made it lead to us, the one before. */
async function settingOfOthers(
  scope: LocateScope,
  signal: AbortSignal,
): Promise<{ setting: SystemSetting; ignored: string | undefined }> {
  const known = await beforeSetup(scope.system);
  const isOurs = (host: string, port: number) => known?.ours.includes(`${host}:${port}`) === true;
  const present = await withoutSelfReferences(await systemSetting(scope.system), scope, isOurs, signal);
  if (known === undefined || present.ignored === undefined || present.setting.kind !== 'none') return present;
  const before = await withoutSelfReferences(settingBefore(known, present.setting.wpad), scope, isOurs, signal);
  // That our own address is left out is what setup was asked for, and no news.
  return before.setting.kind === 'none' ? present : { ...before, ignored: undefined };
}

/**
 * Settings that lead to this proxy itself are for other programs: a user who exports `http_proxy`, or configures our own
 * wrapped script in the system, wants those programs to use this proxy. `ignored` is the notice.
 */
async function withoutSelfReferences(
  setting: SystemSetting,
  { resolver, isSelf }: LocateScope,
  isOurs: (host: string, port: number) => boolean,
  signal: AbortSignal,
): Promise<{ setting: SystemSetting; ignored: string | undefined }> {
  const leadsHere = async (host: string, port: number): Promise<boolean> => {
    if (isOurs(host, port)) return true;
    const addresses = await resolver.resolve(host, signal).catch(() => []);
    return addresses.some((address) => isSelf(address, port));
  };
  const isProxyOurs = async (proxy: string | undefined): Promise<boolean> => {
    const at = proxy === undefined ? undefined : hopOf(proxy)?.proxy;
    return at !== undefined && leadsHere(at.host, at.port);
  };
  if (setting.kind === 'pac') {
    const address = pacAddress(setting.url);
    if (address?.kind !== 'http') return { setting, ignored: undefined };
    const { host, port } = urlAuthority(new URL(address.url));
    if (!(await leadsHere(host, port))) return { setting, ignored: undefined };
    const ignored = `the PAC that ${setting.source} names comes from this proxy itself, and is not used`;
    return { setting: { kind: 'none', wpad: setting.wpad }, ignored };
  }
  if (setting.kind === 'none') return { setting, ignored: undefined };
  const [isHttp, isHttps] = await Promise.all([isProxyOurs(setting.proxies.http), isProxyOurs(setting.proxies.https)]);
  if (!isHttp && !isHttps) return { setting, ignored: undefined };
  const left: SystemProxies = {
    ...setting.proxies,
    http: isHttp ? undefined : setting.proxies.http,
    https: isHttps ? undefined : setting.proxies.https,
  };
  const ignored = `the proxy that ${left.source} names is this proxy itself, and is not used as an upstream proxy`;
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
