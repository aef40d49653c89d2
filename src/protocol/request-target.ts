import { ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import { parseAuthority, parseAuthorityWithDefault } from './authority.ts';

/** The four forms of RFC 9112 §3.2, as far as a proxy serves them. */
export type RequestTarget =
  | { readonly form: 'authority'; readonly target: Authority }
  | { readonly form: 'absolute'; readonly target: Authority; readonly path: string }
  | { readonly form: 'own'; readonly path: string };

const SCHEME = /^([a-z][a-z0-9+.-]*):/i;

/** Path and query come out exactly as they came in: a normalised path is another resource (RFC 9110 §7.7). */
export function parseRequestTarget(method: string, text: string): RequestTarget {
  if (method === 'CONNECT') return { form: 'authority', target: parseAuthority(text) };
  if (text === '*' && method === 'OPTIONS') return { form: 'own', path: '*' };
  if (text.startsWith('/')) return { form: 'own', path: text };
  return parseAbsolute(text);
}

function parseAbsolute(text: string): RequestTarget {
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) throw new ProxyError('bad_request', 'the request target has none of the forms of RFC 9112');
  // `host:port` with a method other than CONNECT also looks like a scheme.
  if (!text.startsWith('//', scheme.length + 1))
    throw new ProxyError('bad_request', 'the request target is no http URL');
  if (scheme !== 'http') {
    throw new ProxyError('not_implemented', `scheme ${scheme}`, {
      told: 'Only http URLs are forwarded; use CONNECT for https.',
    });
  }
  if (text.includes('#')) throw new ProxyError('bad_request', 'a request target has no fragment');
  const start = 'http://'.length;
  const pathAt = text.slice(start).search(/[/?]/);
  const authority = pathAt < 0 ? text.slice(start) : text.slice(start, start + pathAt);
  const path = pathAt < 0 ? '' : text.slice(start + pathAt);
  return { form: 'absolute', target: parseAuthorityWithDefault(authority, 80), path };
}
