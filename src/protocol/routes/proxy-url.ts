import { domainToASCII } from 'node:url';
import { ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import { Secret } from '../../contracts/secret.ts';
import type { Hop, HopScheme, Login, NamedBy } from '../../contracts/stages.ts';
import { quoted } from '../../util/redact.ts';
import { formatAuthority, parseAuthorityWithDefault } from '../addresses/authority.ts';

/**
 * `socks5h` is curl's name for what `socks5` means here: the proxy always resolves the name. `socks` is SOCKS5, as in
 * browsers. `any` is how a Viaduct names a listener of its own for several protocols, HTTP among them.
 */
const SCHEMES: Readonly<Record<string, HopScheme>> = {
  any: 'http',
  http: 'http',
  https: 'https',
  socks: 'socks5',
  socks4: 'socks4',
  socks4a: 'socks4a',
  socks5: 'socks5',
  socks5h: 'socks5',
};

/** Default ports, as in URLs and in browsers. (curl uses 1080 for an `http:` proxy too.) */
export const DEFAULT_PORTS: Readonly<Record<HopScheme, number>> = {
  http: 80,
  https: 443,
  socks4: 1080,
  socks4a: 1080,
  socks5: 1080,
};

const FORMS = 'write for example http://proxy.example:3128, https://… or socks5://…';
const URL_FORM = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:(.*)@)?([^@]*)$/is;
/** SOCKS5 has one octet for the length (RFC 1929 §2). */
const SOCKS_LOGIN_BYTES_MAX = 255;

/**
 * A proxy as a user writes it: `http://`, `https://`, `socks4://`, `socks4a://`, `socks5://` or `socks5h://`, with
 * `user:password@` (percent-encoded) where it needs a login; `host:port` alone means `http://`.
 * Throws an Error with one sentence, without the password.
 */
export function parseProxyUrl(text: string, namedBy: NamedBy): Hop {
  const [, word = 'http', userinfo, rest = ''] = URL_FORM.exec(text.trim()) ?? [];
  const refuse = (why: string) => new Error(`${quoted(text)} ${why}`);
  if (rest === '') throw refuse(`names no proxy; ${FORMS}`);
  const scheme = Object.hasOwn(SCHEMES, word.toLowerCase()) ? SCHEMES[word.toLowerCase()] : undefined;
  if (scheme === undefined) throw refuse(`is not a supported kind of proxy; ${FORMS}`);
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
  // ASCII stays unchanged: a URL parser would turn `0x7f.1` into another address than the one written.
  const written = isAscii ? text : domainToASCII(host.normalize('NFC')) + port;
  return parseAuthorityWithDefault(written.replace(/:0+(?=\d+$)/, ':'), DEFAULT_PORTS[scheme]);
}

/** The proxy without the login: for logs, and as a key of state about the proxy. */
export const formatHop = ({ scheme, proxy }: Hop): string => `${scheme}://${formatAuthority(proxy)}`;

class LoginError extends Error {}

function parseLogin(userinfo: string, scheme: HopScheme): Login {
  const colon = userinfo.indexOf(':');
  const user = decoded(colon < 0 ? userinfo : userinfo.slice(0, colon));
  const password = colon < 0 ? '' : decoded(userinfo.slice(colon + 1));
  if (/[\0-\x1f\x7f]/.test(user + password)) throw new LoginError('has a control character in its login');
  // In Basic the name ends at the first colon (RFC 7617 §2): the rest of the name would become part of the password.
  if (!scheme.startsWith('socks') && user.includes(':')) {
    throw new LoginError('has a colon in its user name, which HTTP cannot send');
  }
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
