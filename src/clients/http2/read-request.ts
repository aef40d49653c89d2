import { randomBytes } from 'node:crypto';
import { ProxyError } from '../../contracts/failure.ts';
import type { Authority, Framing, Headers } from '../../contracts/request.ts';
import { isValidHostField, parseAuthority, parseAuthorityWithDefault } from '../../protocol/addresses/authority.ts';
import { NOT_IN_VALUE } from '../../protocol/http1/fields.ts';
import { requestFraming } from '../../protocol/http1/framing.ts';
import { tokensOf, valuesOf } from '../../protocol/http1/header-list.ts';
import { parseRequestTarget } from '../../protocol/http1/request-target.ts';

/** A request that has been checked from end to end, as HTTP/1.1 would have it; nothing behind this module checks it again. */
export type ParsedHttp2Request = {
  readonly method: string;
  /** As HTTP/1.1 writes it. */
  readonly target: string;
  readonly headers: Headers;
  readonly framing: Framing;
} & (
  | { readonly kind: 'tunnel'; readonly authority: Authority }
  | {
      readonly kind: 'forward';
      readonly authority: Authority;
      readonly path: string;
      /** Of an extended CONNECT (RFC 8441): what the origin has to prove that it has understood. */
      readonly webSocketKey?: string;
    }
  | { readonly kind: 'local'; readonly path: string }
);

export interface Http2RequestTerms {
  readonly fieldsMax: number;
  /** Whether nothing follows the head. */
  readonly isComplete: boolean;
  /** Whether an authority is this proxy: HTTP/2 has no form of its own for such a request. */
  readonly isOurs: (authority: Authority) => boolean;
}

/** Longer than any registered method; a longer one is 501 (RFC 9112 §3). */
const METHOD_CHARS_MAX = 32;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const PATH = /^(?:\/[\x21-\x22\x24-\x7e]*|\*)$/;
/** RFC 9113 §8.2.2. */
const OF_A_CONNECTION = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);
const PSEUDO = [':method', ':scheme', ':authority', ':path', ':protocol'] as const;
type Pseudo = (typeof PSEUDO)[number];

/**
 * A request that leaves as HTTP/1.1 has to mean the same there: all that a reader of text could take for another message is
 * refused (RFC 9113 §8.2.1, §8.3.1, §10.3). `raw`: names and values in turn, as they arrived. Throws the failure that
 * refuses it: 400, 417, 431 or 501.
 */
export function readHttp2Request(raw: readonly string[], terms: Http2RequestTerms): ParsedHttp2Request {
  const { pseudo, fields } = split(raw, terms.fieldsMax);
  const method = pseudo.get(':method');
  if (method === undefined || !METHOD.test(method)) throw malformed('no valid :method');
  if (method.length > METHOD_CHARS_MAX) throw new ProxyError('not_implemented', 'the method is too long');
  checkFields(fields);
  const authority = authorityOf(pseudo.get(':authority'), fields);
  // As HTTP/1.1 has it: hooks and pages of our own look there.
  const headers: Headers = [['host', authority], ...withoutCrumbs(fields.filter(([name]) => name !== 'host'))];
  if (method === 'CONNECT') return connectRequest(pseudo, authority, headers);
  return plainRequest(method, pseudo, authority, headers, terms);
}

function split(
  raw: readonly string[],
  fieldsMax: number,
): { readonly pseudo: ReadonlyMap<Pseudo, string>; readonly fields: [string, string][] } {
  const pseudo = new Map<Pseudo, string>();
  const fields: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    const value = raw[at + 1] ?? '';
    if (NOT_IN_VALUE.test(value)) throw malformed('a value holds a control character');
    if (!name.startsWith(':')) {
      if (fields.length >= fieldsMax) throw new ProxyError('head_too_large', `more than ${fieldsMax} fields`);
      fields.push([name, value]);
      continue;
    }
    const known = PSEUDO.find((one) => one === name);
    if (known === undefined || pseudo.has(known) || fields.length > 0)
      throw malformed('a pseudo-header is unknown, comes twice, or comes behind a field');
    pseudo.set(known, value);
  }
  return { pseudo, fields };
}

function checkFields(fields: Headers): void {
  for (const [name, value] of fields) {
    if (!NAME.test(name)) throw malformed('a field name is no token in lower case');
    if (OF_A_CONNECTION.has(name)) throw malformed(`the field ${name} is about a connection`);
    if (name === 'te' && value.toLowerCase() !== 'trailers') throw malformed('TE is not trailers');
    if (/^[ \t]|[ \t]$/.test(value)) throw malformed('a value begins or ends with a blank');
  }
  for (const expectation of tokensOf(fields, 'expect')) {
    if (expectation !== '100-continue')
      throw new ProxyError('expectation_failed', 'an expectation besides 100-continue');
  }
}

/** `Host` may repeat `:authority`, or stand for it (RFC 9113 §8.3.1). */
function authorityOf(authority: string | undefined, fields: Headers): string {
  const [host, ...more] = valuesOf(fields, 'host');
  if (more.length > 0) throw malformed('more than one Host field');
  if (host !== undefined && !isValidHostField(host)) throw malformed('Host is not host[:port]');
  if (authority === undefined) {
    if (host === undefined) throw malformed('no :authority');
    return host;
  }
  if (host !== undefined && host.toLowerCase() !== authority.toLowerCase())
    throw malformed('Host differs from :authority');
  return authority;
}

/** Cookies may come in crumbs, which HTTP/1.1 does not know (RFC 9113 §8.2.3). */
function withoutCrumbs(fields: Headers): Headers {
  const crumbs = valuesOf(fields, 'cookie');
  if (crumbs.length < 2) return fields;
  const first = fields.findIndex(([name]) => name === 'cookie');
  return fields.flatMap((field, at) => {
    if (field[0] !== 'cookie') return [field];
    return at === first ? [['cookie', crumbs.join('; ')] as const] : [];
  });
}

function connectRequest(pseudo: ReadonlyMap<Pseudo, string>, authority: string, headers: Headers): ParsedHttp2Request {
  const framing = requestFraming(headers, '1.1');
  // A body of a CONNECT means nothing (RFC 9110 §9.3.6).
  if (framing.kind === 'length' && framing.bytes > 0) throw malformed('CONNECT with a body');
  const protocol = pseudo.get(':protocol');
  if (protocol !== undefined) return webSocketRequest(protocol, pseudo, authority, headers);
  if (pseudo.has(':scheme') || pseudo.has(':path')) throw malformed('CONNECT with :scheme or :path');
  const common = { method: 'CONNECT', target: authority, headers, framing: NO_BODY };
  return { ...common, kind: 'tunnel', authority: parseAuthority(authority) };
}

/** As the opening handshake of HTTP/1.1, which the origin knows (RFC 8441 §5). */
function webSocketRequest(
  protocol: string,
  pseudo: ReadonlyMap<Pseudo, string>,
  authority: string,
  headers: Headers,
): ParsedHttp2Request {
  if (protocol.toLowerCase() !== 'websocket')
    throw new ProxyError('not_implemented', 'an extended CONNECT for another protocol than WebSocket');
  const { target, origin, path } = absolute('GET', pseudo, authority);
  const webSocketKey = randomBytes(16).toString('base64');
  const upgrade: Headers = [
    ...headers.filter(([name]) => name !== 'sec-websocket-key' && name !== 'content-length'),
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Key', webSocketKey],
  ];
  const common = { method: 'GET', target, headers: upgrade, framing: NO_BODY };
  return { ...common, kind: 'forward', authority: origin, path, webSocketKey };
}

function plainRequest(
  method: string,
  pseudo: ReadonlyMap<Pseudo, string>,
  authority: string,
  headers: Headers,
  { isComplete, isOurs }: Http2RequestTerms,
): ParsedHttp2Request {
  if (pseudo.has(':protocol')) throw malformed(':protocol without CONNECT');
  const declared = requestFraming(headers, '1.1');
  // HTTP/2 ends a body by itself; nghttp2 has compared a length with what came.
  const framing = declared.kind === 'length' ? declared : isComplete ? NO_BODY : CHUNKED;
  const scheme = pseudo.get(':scheme');
  const path = pathOf(method, pseudo);
  if ((scheme === 'http' || scheme === 'https') && isOurs(ownAuthority(authority, scheme)))
    return { method, target: path, headers, framing, kind: 'local', path };
  const { target, origin, path: from } = absolute(method, pseudo, authority);
  return { method, target, headers, framing, kind: 'forward', authority: origin, path: from };
}

const ownAuthority = (authority: string, scheme: 'http' | 'https'): Authority =>
  parseAuthorityWithDefault(authority, scheme === 'https' ? 443 : 80);

function pathOf(method: string, pseudo: ReadonlyMap<Pseudo, string>): string {
  const path = pseudo.get(':path');
  if (path === undefined || !PATH.test(path) || (path === '*' && method !== 'OPTIONS'))
    throw malformed('no valid :path');
  return path;
}

/** The URL, as a client of HTTP/1.1 would have sent it to a proxy. */
function absolute(
  method: string,
  pseudo: ReadonlyMap<Pseudo, string>,
  authority: string,
): { readonly target: string; readonly origin: Authority; readonly path: string } {
  const scheme = pseudo.get(':scheme');
  const path = pathOf(method, pseudo);
  if (scheme === undefined || !/^[a-z][a-z0-9+.-]*$/i.test(scheme)) throw malformed('no valid :scheme');
  // `*` is for the server as a whole, which a URL writes with an empty path (RFC 9112 §3.2.4).
  const target = `${scheme}://${authority}${path === '*' ? '' : path}`;
  const parsed = parseRequestTarget(method, target);
  if (parsed.form !== 'absolute' || (path !== '*' && parsed.path !== path)) throw malformed('no valid :authority');
  return { target, origin: parsed.target, path: parsed.path };
}

const NO_BODY: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };

/** The detail never contains the text itself, which may be hostile: details go into logs. */
const malformed = (why: string): ProxyError => new ProxyError('bad_request', why);
