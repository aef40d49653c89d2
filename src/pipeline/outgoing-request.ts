import type { ForwardRequest, Headers } from '../contracts/request.ts';
import { formatAuthority } from '../protocol/addresses/authority.ts';
import { firstOf, isNamed, tokensOf } from '../protocol/http1/header-list.ts';
import { endToEnd } from '../protocol/http1/hop-by-hop.ts';
import { receivedProtocol, viaMember } from '../protocol/http1/via.ts';
import type { Services } from './services.ts';

/**
 * Protocols that are never offered on: a switch to another HTTP or to TLS inside a plain request would carry requests
 * past the rules of this proxy (RFC 9113 §3.1 made h2c obsolete). By how they begin, since servers read `HTTP2.0`,
 * `h2c-14` and `h2c` alike.
 */
const NOT_OFFERED = /^[^0-9a-z]*(?:h[23]|https?|tls|ssl|spdy|quic)/i;
/** `protocol-name ["/" protocol-version]` (RFC 9110 §7.8): no quotes and no parameters, which some servers overlook. */
const PROTOCOL = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?$/;

/**
 * The protocol that the client may switch to (RFC 9110 §7.8): offered in 1.1, or by an extended CONNECT, nominated, without a body, and the only
 * one once those are left out that are never offered on or are none.
 */
export function upgradeOffered({ headers, protocol, body }: ForwardRequest): string | undefined {
  if (
    (protocol !== 'http/1.1' && protocol !== 'h2') ||
    body !== undefined ||
    !tokensOf(headers, 'connection').includes('upgrade')
  )
    return undefined;
  const offered = tokensOf(headers, 'upgrade').filter((one) => PROTOCOL.test(one) && !NOT_OFFERED.test(one));
  return offered.length === 1 ? offered[0] : undefined;
}

/** The fields that go to the origin. `Host` and the framing are made from what was parsed, never copied. */
export function outgoingHeaders(
  request: ForwardRequest,
  upgrade: string | undefined,
  { identity }: Pick<Services, 'identity'>,
): Headers {
  const { target, body, protocol } = request;
  const authority = target.port === 80 ? formatHost(target.host) : formatAuthority(target);
  const headers: [string, string][] = [['Host', authority]];
  for (const field of endToEnd(request.headers)) {
    const [name, value] = field;
    // A 1.0 client cannot wait for a 100 (RFC 9110 §10.1.1), and without a chunked body there are no trailers.
    if (protocol === 'http/1.0' && isNamed(name, 'expect')) continue;
    if (body?.framing.kind !== 'chunked' && isNamed(name, 'trailer')) continue;
    headers.push(isNamed(name, 'max-forwards') ? [name, decrementMaxForwards(request.method, value)] : field);
  }
  headers.push(['Via', viaMember(receivedProtocol(protocol), identity.pseudonym)]);
  if (body?.framing.kind === 'chunked') headers.push(['Transfer-Encoding', 'chunked']);
  else if (body?.framing.kind === 'length') headers.push(['Content-Length', String(body.framing.bytes)]);
  else if (needsContentLength(request)) headers.push(['Content-Length', '0']);
  if (upgrade !== undefined) headers.push(['Connection', 'Upgrade'], ['Upgrade', upgrade]);
  return headers;
}

/** Methods whose requests usually have a body: without a length some servers respond with 411 or wait. */
const needsContentLength = ({ method, headers }: ForwardRequest): boolean =>
  method === 'POST' || method === 'PUT' || method === 'PATCH' || firstOf(headers, 'content-length') !== undefined;

const formatHost = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** Only TRACE and OPTIONS count down (RFC 9110 §7.6.2); the value was checked before. */
const decrementMaxForwards = (method: string, value: string): string =>
  method === 'TRACE' || method === 'OPTIONS' ? String(Number(value) - 1) : value;
