import { ProxyError } from '../../contracts/failure.ts';
import type { Hop, HopScheme, NamedBy, Route } from '../../contracts/stages.ts';
import { quoted } from '../../util/redact.ts';
import { parseProxyAuthority } from './proxy-url.ts';

/**
 * `SOCKS` is version 4. Firefox supports `HTTP`, Chromium does not. `QUIC` and other types are skipped.
 */
const TYPES: Readonly<Record<string, HopScheme>> = {
  proxy: 'http',
  http: 'http',
  https: 'https',
  socks: 'socks4',
  socks4: 'socks4',
  socks5: 'socks5',
};

/** Entries of one result that are read: no request tries a longer list, and a script may return a huge one. */
export const PAC_ROUTES_MAX = 64;
/** The longest host name, its port and some spaces. A longer text is not a valid entry, and would take long to parse. */
const ENTRY_CHARACTERS_MAX = 512;

/** Invalid entries that are named in messages: enough to find the mistake in the script. */
const UNREAD_NAMED_MAX = 4;

export const DIRECT: Route = { via: 'direct' };

/** A parsed result. */
export interface PacResult {
  /** At least one: a result without a valid entry is DIRECT. */
  readonly routes: readonly Route[];
  /** The first few invalid entries, for messages. Nearly always empty. */
  readonly unread: readonly string[];
}

/**
 * Reads the result of a PAC script as Chromium does (net/proxy_resolution/proxy_list.cc): entries between semicolons,
 * spaces and tabs around them, types in any case. An invalid entry is skipped; a result without any valid one is DIRECT.
 * Never throws.
 */
export function readPacResult(text: string, namedBy: NamedBy): PacResult {
  const routes: Route[] = [];
  let unread = NONE;
  for (let at = 0; at <= text.length && routes.length < PAC_ROUTES_MAX; ) {
    const end = text.indexOf(';', at);
    const entry = text.slice(at, end < 0 ? undefined : end);
    const route = parsePacEntry(entry, namedBy);
    if (route !== undefined) routes.push(route);
    else if (unread.length < UNREAD_NAMED_MAX && /[^ \t]/.test(entry)) unread = [...unread, quoted(entry)];
    at = end < 0 ? text.length + 1 : end + 1;
  }
  return { routes: routes.length > 0 ? routes : [DIRECT], unread };
}
const NONE: readonly string[] = [];

/** A message about the invalid entries; `undefined` where there are none. */
export function unreadText({ unread, routes }: PacResult): string | undefined {
  if (unread.length === 0) return undefined;
  const onlyDirect = routes.length === 1 && routes[0] === DIRECT;
  const what = `${unread.join(', ')} cannot be read`;
  return onlyDirect ? `${what}: the request goes DIRECT, as in Chromium` : `${what}, and is skipped, as in Chromium`;
}

/**
 * Whether a route blocks its destination: scripts block a host with `PROXY 0.0.0.0:0`. Browsers treat it as a proxy that cannot be
 * reached: they send nothing, and use the next entry.
 */
export const isBlockedRoute = (route: Route): boolean =>
  route.via === 'proxies' && route.hops.some(({ proxy }) => proxy.port === 0);

/** `DIRECT`, `PROXY host:port`, `SOCKS5 [v6]:port`, …; `undefined` for anything else. */
export function parsePacEntry(text: string, namedBy: NamedBy): Route | undefined {
  if (text.length > ENTRY_CHARACTERS_MAX) return undefined;
  // Only spaces and tabs, as in Chromium: a line break belongs to the word beside it, and makes the entry invalid.
  const [, type = '', rest = ''] = /^[ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/s.exec(text) ?? [];
  const word = type.toLowerCase();
  if (word === 'direct') return rest === '' ? DIRECT : undefined;
  const scheme = Object.hasOwn(TYPES, word) ? TYPES[word] : undefined;
  const hop = scheme && parsePacHop(scheme, rest, namedBy);
  return hop && { via: 'proxies', hops: [hop] };
}

/** Nothing is ever sent there, so hosts that only a URL parser accepts as addresses, as in `0:0`, are valid too. */
const BLOCKED = /^(\[[\da-f:.]+\]|[\w.-]+):0+$/i;

function parsePacHop(scheme: HopScheme, authority: string, namedBy: NamedBy): Hop | undefined {
  const blocked = BLOCKED.exec(authority)?.[1];
  if (blocked !== undefined) {
    return { scheme, proxy: { host: blocked.toLowerCase().replace(/^\[(.*)\]$/, '$1'), port: 0 }, namedBy };
  }
  try {
    return { scheme, proxy: parseProxyAuthority(authority, scheme), namedBy };
  } catch (error) {
    if (error instanceof ProxyError) return undefined;
    throw error;
  }
}
