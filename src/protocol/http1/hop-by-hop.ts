import type { Headers } from '../../contracts/request.ts';
import { isNamed, tokensOf } from './header-list.ts';

/**
 * Fields for this hop only (RFC 9110 §7.6.1), and those that the proxy generates for the next hop: framing and `Host`.
 * `Proxy-Connection` is not standardised, but clients still send it; `HTTP2-Settings` belongs to an upgrade that the proxy
 * drops.
 */
const THIS_HOP: readonly string[] = [
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-authorization',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-support',
  'content-length',
  'host',
];
/** By their length. */
const THIS_HOP_OF_LENGTH: readonly (readonly string[])[] = Array.from({ length: 32 }, (_, length) =>
  THIS_HOP.filter((name) => name.length === length),
);

function isOfThisHop(name: string): boolean {
  const candidates = THIS_HOP_OF_LENGTH[name.length];
  if (candidates === undefined) return false;
  for (let at = 0; at < candidates.length; at++) if (isNamed(name, candidates[at] ?? '')) return true;
  return false;
}

/** Fields that `Connection` must not remove: without them loops are not detected. */
const NEVER_NOMINATED = new Set(['via', 'max-forwards']);

/** The fields to forward: without those of this hop and those that `Connection` nominates, in order and case as received. */
export function endToEnd(headers: Headers): [string, string][] {
  const nominated = tokensOf(headers, 'connection');
  const kept: [string, string][] = [];
  for (let at = 0; at < headers.length; at++) {
    const field = headers[at];
    if (field === undefined || isOfThisHop(field[0])) continue;
    if (nominated.length > 0 && isNominated(field[0].toLowerCase(), nominated)) continue;
    kept.push([field[0], field[1]]);
  }
  return kept;
}

const isNominated = (name: string, nominated: readonly string[]): boolean =>
  nominated.includes(name) && !NEVER_NOMINATED.has(name);

/** Fields that must not arrive in a trailer (RFC 9110 §6.5.1): framing, routing, authentication, content. */
const NOT_IN_TRAILER =
  /^(?:transfer-encoding|content-.*|host|connection|proxy-.*|te|upgrade|trailer|keep-alive|authorization|www-authenticate|set-cookie|cookie|via|max-forwards|expect|cache-control|age|expires|date|location|range|vary|retry-after|if-.*)$/i;

/** Trailer fields that may be forwarded, apart from the head (RFC 9110 §6.5). */
export const allowedTrailers = (trailers: Headers, nominated: readonly string[]): Headers =>
  trailers.length === 0
    ? trailers
    : trailers.filter(([name]) => !NOT_IN_TRAILER.test(name) && !nominated.includes(name.toLowerCase()));
