import { ProxyError } from '../core/failure.ts';
import type { Hop, HopScheme, NamedBy, Route } from '../core/stages.ts';
import { parseProxyAuthority } from './proxy-url.ts';

/**
 * `SOCKS` is version 4, which is older than the distinction. Chromium knows no `HTTP`, Firefox does. `QUIC` and
 * whatever else a script may name are skipped.
 */
const TYPES: Readonly<Record<string, HopScheme>> = {
  proxy: 'http',
  http: 'http',
  https: 'https',
  socks: 'socks4',
  socks4: 'socks4',
  socks5: 'socks5',
};

/** Ways that are looked at in one answer: nobody waits for a longer list, and a script may make a huge one. */
export const PAC_ROUTES_MAX = 64;
/** The longest host name, its port and room for spaces. What is longer is no entry, and takes long to find out. */
const ENTRY_CHARACTERS_MAX = 512;

export const DIRECT: Route = { via: 'direct' };

/**
 * The answer of a PAC script as Chromium reads it (net/proxy_resolution/proxy_list.cc): entries between semicolons,
 * spaces and tabs around them, types in any case. An entry that is none is skipped; an answer without any good one is
 * DIRECT. Never throws.
 */
export function parsePacResult(text: string, namedBy: NamedBy): readonly Route[] {
  const routes: Route[] = [];
  for (let at = 0; at <= text.length && routes.length < PAC_ROUTES_MAX; ) {
    const end = text.indexOf(';', at);
    const route = parsePacEntry(text.slice(at, end < 0 ? undefined : end), namedBy);
    if (route !== undefined) routes.push(route);
    at = end < 0 ? text.length + 1 : end + 1;
  }
  return routes.length > 0 ? routes : [DIRECT];
}

/** `DIRECT`, `PROXY host:port`, `SOCKS5 [v6]:port`, …; `undefined` for anything else. */
export function parsePacEntry(text: string, namedBy: NamedBy): Route | undefined {
  if (text.length > ENTRY_CHARACTERS_MAX) return undefined;
  // Only spaces and tabs, as in Chromium: a line break belongs to the word beside it and spoils the entry.
  const [, type = '', rest = ''] = /^[ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/s.exec(text) ?? [];
  const word = type.toLowerCase();
  if (word === 'direct') return rest === '' ? DIRECT : undefined;
  const scheme = Object.hasOwn(TYPES, word) ? TYPES[word] : undefined;
  const hop = scheme && parsePacHop(scheme, rest, namedBy);
  return hop && { via: 'proxies', hops: [hop] };
}

function parsePacHop(scheme: HopScheme, authority: string, namedBy: NamedBy): Hop | undefined {
  try {
    return { scheme, proxy: parseProxyAuthority(authority, scheme), namedBy };
  } catch (error) {
    if (error instanceof ProxyError) return undefined;
    throw error;
  }
}
