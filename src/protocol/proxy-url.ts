import { domainToASCII } from 'node:url';
import { ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import { Secret } from '../core/secret.ts';
import type { Hop, HopScheme, Login, NamedBy } from '../core/stages.ts';
import { formatAuthority, parseAuthorityWithDefault } from './authority.ts';

/**
 * `socks5h` is curl's word for what `socks5` means here: the name is always resolved at the far end. `socks` is SOCKS5,
 * as in browsers.
 */
const SCHEMES: Readonly<Record<string, HopScheme>> = {
  http: 'http',
  https: 'https',
  socks: 'socks5',
  socks4: 'socks4',
  socks4a: 'socks4a',
  socks5: 'socks5',
  socks5h: 'socks5',
};

/** Where no port is written: those of the URL schemes, and of browsers. (curl takes 1080 for an `http:` proxy too.) */
export const DEFAULT_PORTS: Readonly<Record<HopScheme, number>> = {
  http: 80,
  https: 443,
  socks4: 1080,
  socks4a: 1080,
  socks5: 1080,
};

const FORMS = 'write for example http://proxy.example:3128, https://… or socks5://…';
const URL_FORM = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:(.*)@)?([^@]*)$/is;
/** SOCKS5 has one octet for a length (RFC 1929 §2). */
const SOCKS_LOGIN_BYTES_MAX = 255;

/**
 * A proxy as a person names it: `http://`, `https://`, `socks4://`, `socks4a://`, `socks5://` or `socks5h://`, with
 * `user:password@` (percent-encoded) where it wants them; `host:port` alone means `http://`.
 * Throws an Error with one sentence that repeats no password.
 */
export function parseProxyUrl(text: string, namedBy: NamedBy): Hop {
  const [, word = 'http', userinfo, rest = ''] = URL_FORM.exec(text.trim()) ?? [];
  const refuse = (why: string) => new Error(`${JSON.stringify(withoutLogin(text.trim()))} ${why}`);
  if (rest === '') throw refuse(`names no proxy; ${FORMS}`);
  const scheme = Object.hasOwn(SCHEMES, word.toLowerCase()) ? SCHEMES[word.toLowerCase()] : undefined;
  if (scheme === undefined) throw refuse(`is no kind of proxy that is known here; ${FORMS}`);
  const authority = rest.endsWith('/') ? rest.slice(0, -1) : rest;
  if (/[/?#]/.test(authority)) throw refuse('has a path; leave out what follows the port');
  try {
    const proxy = parseProxyAuthority(authority, scheme);
    const login = userinfo ? parseLogin(userinfo, scheme) : undefined;
    return login === undefined ? { scheme, proxy, namedBy } : { scheme, proxy, namedBy, login };
  } catch (error) {
    if (error instanceof ProxyError) throw refuse(`names no proxy: ${error.detail}`);
    if (error instanceof LoginError) throw refuse(error.message);
    throw error;
  }
}

/** `host`, `host:port` or `[v6]:port` of a proxy. Throws `bad_request`. */
export function parseProxyAuthority(text: string, scheme: HopScheme): Authority {
  if (text.endsWith(':')) throw new ProxyError('bad_request', 'a colon without a port');
  const isAscii = /^[\0-\x7f]*$/.test(text);
  const [, host = text, port = ''] = isAscii ? [] : (/^([^:]*)(:\d+)?$/.exec(text) ?? []);
  // ASCII stays as it is: a URL parser would turn `0x7f.1` into an address that nobody wrote.
  const written = isAscii ? text : domainToASCII(host.normalize('NFC')) + port;
  return parseAuthorityWithDefault(written.replace(/:0+(?=\d+$)/, ':'), DEFAULT_PORTS[scheme]);
}

/** The proxy without what it is told about us: for logs, and as a key of what is known about it. */
export const formatHop = ({ scheme, proxy }: Hop): string => `${scheme}://${formatAuthority(proxy)}`;

class LoginError extends Error {}

function parseLogin(userinfo: string, scheme: HopScheme): Login {
  const colon = userinfo.indexOf(':');
  const user = decoded(colon < 0 ? userinfo : userinfo.slice(0, colon));
  const password = colon < 0 ? '' : decoded(userinfo.slice(colon + 1));
  if (/[\0-\x1f\x7f]/.test(user + password)) throw new LoginError('has a control character in its login');
  if (scheme.startsWith('socks4') && password !== '') {
    throw new LoginError('has a password, and SOCKS4 carries none; write socks5://, or leave it out');
  }
  const isTooLong = [user, password].some((part) => Buffer.byteLength(part) > SOCKS_LOGIN_BYTES_MAX);
  if (scheme.startsWith('socks') && isTooLong) throw new LoginError('has a login of more than 255 bytes');
  return { user, password: new Secret(password) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new LoginError('has a percent sign in its login that encodes nothing; write %25 for %');
  }
}

/** For messages: whatever might be a password is left out, also where the text is no URL at all. */
export function withoutLogin(text: string): string {
  const at = text.lastIndexOf('@');
  return at < 0 ? text : `${/^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0] ?? ''}•••${text.slice(at)}`;
}
