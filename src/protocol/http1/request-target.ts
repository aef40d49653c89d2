import { ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import { parseAuthority, parseAuthorityWithDefault } from '../addresses/authority.ts';

/** The four forms of RFC 9112 §3.2, as far as a proxy serves them. */
export type RequestTarget =
  | { readonly form: 'authority'; readonly target: Authority }
  | { readonly form: 'absolute'; readonly target: Authority; readonly path: string }
  | { readonly form: 'local'; readonly path: string };

const SCHEME = /^([a-z][a-z0-9+.-]*):/i;

/** Path and query are kept exactly as received: a normalised path is another resource (RFC 9110 §7.7). */
export function parseRequestTarget(method: string, text: string): RequestTarget {
  if (method === 'CONNECT') return { form: 'authority', target: parseAuthority(text) };
  if (text === '*' && method === 'OPTIONS') return { form: 'local', path: '*' };
  if (text.startsWith('/')) return { form: 'local', path: text };
  return parseAbsolute(text);
}

const PROXY_URL = 'A URL of this scheme names a proxy: it belongs into the settings of the client, not into a request.';

/** What the client must do instead, by the scheme of its URL. */
const OTHER_SCHEMES: Readonly<Record<string, string>> = {
  https:
    'An https URL is reached through a tunnel: the client has to send CONNECT with the host and the port, not the URL.',
  wss: 'A wss URL is reached through a tunnel: the client has to send CONNECT with the host and the port, not the URL.',
  ftp: 'This proxy does not speak FTP: use an http or https address of the file, or a client that tunnels FTP with CONNECT.',
  ftps: 'This proxy does not speak FTP: use an http or https address of the file, or a client that tunnels FTP with CONNECT.',
  file: 'A file URL names a file of the machine that the client runs on: no proxy can read it.',
  socks: PROXY_URL,
  socks4: PROXY_URL,
  socks4a: PROXY_URL,
  socks5: PROXY_URL,
  socks5h: PROXY_URL,
};
const OTHER_SCHEME =
  'This proxy forwards http URLs; all else goes through a tunnel, which the client opens with CONNECT.';

function parseAbsolute(text: string): RequestTarget {
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined)
    throw new ProxyError('bad_request', 'the request target has none of the forms of RFC 9112 §3.2');
  // `host:port` with a method other than CONNECT also looks like a scheme.
  if (!text.startsWith('//', scheme.length + 1))
    throw new ProxyError('bad_request', 'the request target is not an http URL');
  // The opening handshake of a WebSocket is an HTTP request (RFC 6455 §4.1), and some clients keep its scheme here.
  if (scheme !== 'http' && scheme !== 'ws') {
    throw new ProxyError('not_implemented', `scheme ${scheme}`, {
      clientMessage: Object.hasOwn(OTHER_SCHEMES, scheme) ? OTHER_SCHEMES[scheme] : OTHER_SCHEME,
    });
  }
  if (text.includes('#')) throw new ProxyError('bad_request', 'the request target contains a fragment');
  const start = scheme.length + '://'.length;
  const pathAt = text.slice(start).search(/[/?]/);
  const authority = pathAt < 0 ? text.slice(start) : text.slice(start, start + pathAt);
  const path = pathAt < 0 ? '' : text.slice(start + pathAt);
  return { form: 'absolute', target: parseAuthorityWithDefault(authority, 80), path };
}
