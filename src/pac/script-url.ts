import type { Authority, ProxyRequest } from '../contracts/request.ts';
import { formatAuthority } from '../protocol/addresses/authority.ts';

/** The arguments of a script. */
export interface ScriptUrl {
  readonly url: string;
  /** IPv6 without brackets. */
  readonly host: string;
}

/**
 * A URL as Chromium passes it to scripts: without login and fragment, and for an encrypted scheme without path and query,
 * which the author of the script could otherwise learn (CVE-2016-5134). `//host` is read as `https:`. A text that is not a
 * URL stays unchanged: only `viaduct pac` can have one.
 */
export function scriptUrl(text: string): ScriptUrl {
  const full = text.startsWith('//') ? `https:${text}` : text;
  if (!URL.canParse(full)) {
    const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)/i.exec(full)?.[1] ?? '';
    return { url: full, host: unbracketed(host.toLowerCase()) };
  }
  const url = new URL(full);
  url.username = '';
  url.password = '';
  url.hash = '';
  if (url.protocol === 'https:' || url.protocol === 'wss:') {
    url.pathname = '/';
    url.search = '';
  }
  return { url: url.href, host: unbracketed(url.hostname) };
}

const unbracketed = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');

/** A tunnel nearly always carries TLS, and scripts know `http:` and `https:` alone; so a plain `ws:` becomes `http:`. */
export function scriptUrlOf(request: ProxyRequest): ScriptUrl {
  const { target } = request;
  const scheme = request.kind === 'tunnel' ? 'https:' : 'http:';
  if (request.kind === 'tunnel' || !URL.canParse(request.url)) return scriptUrl(rootOf(scheme, target));
  return scriptUrl(request.url.replace(/^ws:/i, scheme));
}

const rootOf = (scheme: string, target: Authority): string => `${scheme}//${formatAuthority(target)}/`;
