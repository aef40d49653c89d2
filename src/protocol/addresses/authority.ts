import { ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import { formatIp, parseIp, withoutMapping } from './ip-address.ts';

/** RFC 1035 §2.3.4: longer names exist in no zone, so they are refused before a resolver gets them. */
const LABEL_CHARACTERS_MAX = 63;
const NAME_CHARACTERS_MAX = 253;
/** Letters, digits and hyphens (RFC 1123 §2.1), and the underscore, which names in use contain. */
const NAME = new RegExp(`^[a-z0-9_-]{1,${LABEL_CHARACTERS_MAX}}(?:\\.[a-z0-9_-]{1,${LABEL_CHARACTERS_MAX}})*$`, 'i');
/** A last label that a URL parser or `inet_aton` would read as a number: then the host must be a valid address. */
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/i;
const PORT = /^[1-9]\d{0,4}$/;
const PORT_MAX = 65_535;

/**
 * `host:port` or `[v6]:port`, the target of a CONNECT. There is no default port (RFC 9110 §9.3.6), so a missing one is an
 * error, and so are userinfo, a path, percent signs and zone ids. Throws `bad_request`.
 */
export function parseAuthority(text: string): Authority {
  const [host, port] = split(text);
  if (port === undefined || port === '') throw malformed('the target has no port');
  return { host: parseHost(host), port: parsePort(port) };
}

/** The authority of a URL, where the port may be absent or empty (RFC 3986 §3.2.3). Throws `bad_request`. */
export function parseAuthorityWithDefault(text: string, defaultPort: number): Authority {
  const [host, port] = split(text);
  return { host: parseHost(host), port: port ? parsePort(port) : defaultPort };
}

/**
 * A host as a URI writes it: a name, a dotted-decimal IPv4, or `[v6]`, which comes back without its brackets.
 * In lower case, otherwise unchanged: one trailing root dot is kept, since it keeps a resolver from trying search domains.
 * Throws `bad_request`.
 */
export function parseHost(text: string): string {
  if (text.startsWith('[')) {
    const inner = text.endsWith(']') ? text.slice(1, -1).toLowerCase() : '';
    if (parseIp(inner)?.family !== 6) throw malformed('the brackets do not contain an IPv6 address');
    return inner;
  }
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  if (name.length > NAME_CHARACTERS_MAX) throw malformed(`the host is longer than ${NAME_CHARACTERS_MAX} characters`);
  // Checked before lower-casing, which turns U+212A (the Kelvin sign) into a plain `k`.
  if (!NAME.test(name)) throw malformed('the host has an invalid label');
  // 0177.0.0.1, 0x7f000001, 2130706433, 127.1: a resolver would turn them into an address that no rule has checked.
  if (ENDS_IN_NUMBER.test(name) && !parseIp(text))
    throw malformed('the host looks like an address and is not a valid one');
  return text.toLowerCase();
}

/**
 * The form of a host that rules and limits compare: without the root dot, addresses in their canonical spelling, an
 * IPv4-mapped IPv6 address as IPv4. Takes a parsed host.
 */
export function hostKey(host: string): string {
  if (host.endsWith('.')) return host.slice(0, -1);
  if (!host.includes(':')) return host;
  const address = parseIp(host);
  return address ? formatIp(withoutMapping(address)) : host;
}

/** Host without brackets and port of an `http:` or `https:` URL, by default that of its scheme. */
export const urlAuthority = ({ hostname, port, protocol }: URL): Authority => ({
  host: hostname.replace(/^\[(.*)\]$/, '$1'),
  port: Number(port) || (protocol === 'https:' ? 443 : 80),
});

/** The authority as it is sent: IPv6 in brackets, always with the port. */
export function formatAuthority({ host, port }: Authority): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Whether a value is valid for `Host`: `uri-host [ ":" port ]` (RFC 9112 §3.2). An empty one is valid only for a target
 * without an authority, which a request to a proxy never has, so it is invalid here.
 */
export function isValidHostField(value: string): boolean {
  try {
    parseAuthorityWithDefault(value, 80);
    return true;
  } catch (error) {
    if (error instanceof ProxyError) return false;
    throw error;
  }
}

/** Host with its brackets, and the text behind the colon; `undefined` where there is no colon. */
function split(text: string): readonly [host: string, port: string | undefined] {
  const bracket = text.startsWith('[') ? text.indexOf(']') + 1 : 0;
  const colon = text.indexOf(':', bracket);
  return colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
}

function parsePort(text: string): number {
  const port = PORT.test(text) ? Number(text) : 0;
  if (port < 1 || port > PORT_MAX) throw malformed('the port is not a number from 1 to 65535');
  return port;
}

/** The detail never contains the text itself, which may be hostile: details go into logs. */
const malformed = (why: string) => new ProxyError('bad_request', why);
