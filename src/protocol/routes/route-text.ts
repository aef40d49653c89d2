import type { Hop, NamedBy, Route } from '../../contracts/stages.ts';
import { quoted } from '../../util/redact.ts';
import { DIRECT, PAC_ROUTES_MAX, parsePacEntry } from './pac-result.ts';
import { formatHop, parseProxyUrl } from './proxy-url.ts';

/**
 * One route to a target in the notation of settings and hooks: `direct`, the URL of a proxy, an entry of a PAC result
 * (`PROXY a:1`), or a list for a chain of proxies, nearest first.
 */
export type RouteText = string | readonly string[];
/** Routes in the order in which they are tried. One text may hold several, separated by semicolons: `PROXY a:1; DIRECT`. */
export type RoutesText = string | readonly RouteText[];

/** Proxies in one chain: each costs a round trip or more, so a longer one is a mistake. */
const CHAIN_HOPS_MAX = 8;

/** Throws an Error with one sentence, without passwords. */
export function parseRoutes(given: RoutesText, namedBy: NamedBy): [Route, ...Route[]] {
  const routes = (typeof given === 'string' ? [given] : given).flatMap((one) =>
    typeof one === 'string' ? entriesOf(one).map((entry) => parseEntry(entry, namedBy)) : [parseChain(one, namedBy)],
  );
  const [first, ...rest] = routes;
  if (first === undefined)
    throw new Error('names no route; write direct, or a proxy such as http://proxy.example:3128');
  if (routes.length > PAC_ROUTES_MAX) throw new Error(`names more than ${PAC_ROUTES_MAX} routes`);
  return [first, ...rest];
}

/** `direct`, `http://a:3128`, or `https://a:443 -> socks5://b:1080` for a chain. */
export const formatRoute = (route: Route): string =>
  route.via === 'direct' ? 'direct' : route.hops.map(formatHop).join(' -> ');

function entriesOf(text: string): string[] {
  // Split there, the end of a password would be read as another proxy.
  if (/:\/\/[^/\s]*;[^/\s]*@/.test(text)) throw new Error('has a semicolon in a login; write %3B for ;');
  const entries = text.split(';').map((entry) => entry.trim());
  return entries.filter((entry) => entry !== '');
}

function parseEntry(text: string, namedBy: NamedBy): Route {
  if (text.toLowerCase() === 'direct') return DIRECT;
  const isPac = /^[a-z0-9]+[ \t]/i.test(text);
  if (!isPac) return { via: 'proxies', hops: [parseProxyUrl(text, namedBy)] };
  const route = parsePacEntry(text, namedBy);
  if (route !== undefined) return route;
  throw new Error(`${quoted(text)} is not a valid route; write for example PROXY proxy.example:3128, or a URL`);
}

function parseChain(links: readonly string[], namedBy: NamedBy): Route {
  const [nearest, ...behind] = links.map((link) => parseLink(link, namedBy));
  if (nearest === undefined) throw new Error('has an empty chain; write the proxies in it, nearest first');
  if (behind.length >= CHAIN_HOPS_MAX) throw new Error(`has a chain of more than ${CHAIN_HOPS_MAX} proxies`);
  const far = behind.map((hop): Hop => ({ ...hop, reached: 'through-proxy' }));
  return { via: 'proxies', hops: [nearest, ...far] };
}

function parseLink(text: string, namedBy: NamedBy): Hop {
  const [entry, ...more] = entriesOf(text).map((one) => parseEntry(one, namedBy));
  if (entry?.via === 'proxies' && more.length === 0) return entry.hops[0];
  throw new Error(`${quoted(text)} is not a valid proxy of a chain; write one URL for each proxy, nearest first`);
}
