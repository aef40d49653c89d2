import type { ProxyRecord } from '../contracts/record.ts';
import type { Route } from '../contracts/stages.ts';
import { formatAuthority } from '../protocol/addresses/authority.ts';
import { publicUrl } from './escape.ts';

/** What was requested: `host:port` of a CONNECT, else the URL without secrets; `undefined` where neither is known. */
export const requestTarget = ({ url, target }: ProxyRecord): string | undefined =>
  url === undefined ? target && formatAuthority(target) : publicUrl(url);

/** `direct`, `direct_fallback`, or the hops nearest first: `http://proxy.corp:8080`. */
export const routeText = (route: Route): string =>
  route.via === 'direct'
    ? directText(route.isFallback)
    : route.hops.map(({ scheme, proxy }) => `${scheme}://${formatAuthority(proxy)}`).join(' ');

/** `direct_fallback`: only since no upstream proxy, or no PAC, could be reached. */
const directText = (isFallback: true | undefined): string => (isFallback === true ? 'direct_fallback' : 'direct');

/** What a log for people has in place of lines that were dropped. */
export const missingLines = (lines: number): string => `${lines} lines are missing here: the log was too slow`;

const PROTOCOL_TEXTS: ReadonlyMap<string, string> = new Map([
  ['http/1.0', 'HTTP/1.0'],
  ['http/1.1', 'HTTP/1.1'],
  ['h2', 'HTTP/2.0'],
  ['socks4', 'SOCKS4'],
  ['socks5', 'SOCKS5'],
]);
/** As HTTP/1.1 writes it in a request line, whichever protocol it is. */
export const protocolText = (protocol: string): string => PROTOCOL_TEXTS.get(protocol) ?? protocol;
