import type { Authority, ProxyRequest } from '../core/request.ts';
import { formatAuthority } from '../protocol/authority.ts';

/** What a script is told of a request. */
export interface ScriptUrl {
  readonly url: string;
  /** IPv6 without brackets. */
  readonly host: string;
}

/**
 * A URL as Chromium shows it to scripts: never the login and the fragment; of an encrypted scheme not even path and
 * query, which would be told to whoever wrote the script (CVE-2016-5134). `//host` is taken for `https:`. Text that is no URL
 * stays as it is: only `viaduct pac` can be given any.
 */
export function scriptUrl(text: string): ScriptUrl {
  const given = text.startsWith('//') ? `https:${text}` : text;
  if (!URL.canParse(given)) {
    const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)/i.exec(given)?.[1] ?? '';
    return { url: given, host: unbracketed(host.toLowerCase()) };
  }
  const url = new URL(given);
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

/** A tunnel carries nearly always TLS, and scripts know no word for anything else. */
export function scriptUrlOf(request: ProxyRequest): ScriptUrl {
  const { target } = request;
  const scheme = request.kind === 'tunnel' ? 'https:' : 'http:';
  return scriptUrl(request.kind === 'forward' && URL.canParse(request.url) ? request.url : rootOf(scheme, target));
}

const rootOf = (scheme: string, target: Authority): string => `${scheme}//${formatAuthority(target)}/`;
