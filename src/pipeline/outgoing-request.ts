import type { ForwardRequest, Headers } from '../core/request.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { tokensOf } from '../protocol/header-list.ts';
import { endToEnd } from '../protocol/hop-by-hop.ts';
import { viaMember } from '../protocol/via.ts';
import type { ProxyIdentity } from './rooms.ts';

/**
 * Protocols that are never offered on: a switch to another HTTP or to TLS inside a plain request would carry requests
 * past the rules of this proxy (RFC 9113 §3.1 made h2c obsolete).
 */
const NOT_OFFERED = /^(?:h2c?|http|tls)(?:\/|$)/i;

/** The protocol that the client may switch to (RFC 9110 §7.8): offered in 1.1, nominated, alone, and without a body. */
export function upgradeOffered({ headers, version, body }: ForwardRequest): string | undefined {
  if (version === '1.0' || body !== undefined || !tokensOf(headers, 'connection').includes('upgrade')) return undefined;
  const [protocol, ...others] = tokensOf(headers, 'upgrade');
  return protocol === undefined || others.length > 0 || NOT_OFFERED.test(protocol) ? undefined : protocol;
}

/** The fields that go to the origin. `Host` and the framing are made from what was parsed, never copied. */
export function outgoingHeaders(
  request: ForwardRequest,
  upgrade: string | undefined,
  { pseudonym }: ProxyIdentity,
): Headers {
  const { target, body, version } = request;
  const authority = target.port === 80 ? formatHost(target.host) : formatAuthority(target);
  const headers: [string, string][] = [['Host', authority]];
  for (const field of endToEnd(request.headers)) {
    const name = field[0].toLowerCase();
    // A 1.0 client cannot wait for a 100 (RFC 9110 §10.1.1), and without a chunked body there are no trailers.
    if (name === 'expect' && version === '1.0') continue;
    if (name === 'trailer' && body?.framing.kind !== 'chunked') continue;
    headers.push(name === 'max-forwards' ? [field[0], oneLess(request.method, field[1])] : field);
  }
  headers.push(['Via', viaMember(version, pseudonym)]);
  if (body?.framing.kind === 'chunked') headers.push(['Transfer-Encoding', 'chunked']);
  else if (body?.framing.kind === 'length') headers.push(['Content-Length', String(body.framing.bytes)]);
  else if (saysEmpty(request)) headers.push(['Content-Length', '0']);
  if (upgrade !== undefined) headers.push(['Connection', 'Upgrade'], ['Upgrade', upgrade]);
  return headers;
}

/** Methods whose requests usually have a body: without a length some servers answer 411 or wait. */
const saysEmpty = ({ method, headers }: ForwardRequest): boolean =>
  method === 'POST' ||
  method === 'PUT' ||
  method === 'PATCH' ||
  headers.some(([name]) => /^content-length$/i.test(name));

const formatHost = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** Only TRACE and OPTIONS count down (RFC 9110 §7.6.2); the value was checked before. */
const oneLess = (method: string, value: string): string =>
  method === 'TRACE' || method === 'OPTIONS' ? String(Number(value) - 1) : value;
