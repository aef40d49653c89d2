import type { Reply } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Authority, OwnRequest } from '../core/request.ts';
import { parseAuthorityWithDefault } from '../protocol/authority.ts';
import { valuesOf } from '../protocol/header-list.ts';
import { viaMember } from '../protocol/via.ts';
import { ALLOWED } from './max-forwards.ts';
import type { Rooms } from './rooms.ts';

/** What the proxy port serves about the proxy itself. */
export interface OwnPages {
  /** Whether the host is this machine. */
  isOurs(host: string): boolean;
  /** The PAC for browsers, which sends them to `proxy` wherever the user's own PAC names a proxy. */
  pac(proxy: Authority): string;
}

/** Where browsers look for it; the second is Alpaca's. */
const PAC_PATHS: ReadonlySet<string> = new Set(['/proxy.pac', '/alpaca.pac']);
/** `charset` is said: browsers read a script without one as Latin-1. */
const PAC_TYPE = 'application/x-ns-proxy-autoconfig; charset=utf-8';

/** What the proxy port itself serves, or a ProxyError. A request in origin-form is for us; it is never sent on to its `Host`. */
export function serveOwn(request: OwnRequest, { identity, pages }: Pick<Rooms, 'identity' | 'pages'>): Reply {
  const { method, version } = request;
  const path = request.path.replace(/\?.*$/s, '');
  const page = (body: string, ...fields: [string, string][]): Reply => ({
    status: 200,
    reason: 'OK',
    headers: [['Via', viaMember(version, identity.pseudonym)], ...fields],
    body,
  });
  if (method === 'OPTIONS') return page('', ['Allow', ALLOWED]);
  if (method !== 'GET' && method !== 'HEAD') {
    throw new ProxyError('own_method_unknown', `${method} in origin-form`, {
      fields: [['Allow', 'GET, HEAD, OPTIONS']],
    });
  }
  // A copy would outlive the next network.
  if (PAC_PATHS.has(path))
    return page(pages.pac(asked(request, pages)), ['Content-Type', PAC_TYPE], ['Cache-Control', 'no-store']);
  if (path !== '/') throw new ProxyError('own_page_unknown', 'a path in origin-form');
  return page(welcome(identity.name), ['Content-Type', 'text/plain; charset=utf-8']);
}

/**
 * The authority by which the client reached us, which is how its browser will reach us too. One that is not ours came
 * from a page that rebinds its name to this address: it would learn which hosts the PAC knows (RFC 9110 §17.1).
 */
function asked({ headers }: OwnRequest, pages: OwnPages): Authority {
  const [host, ...others] = valuesOf(headers, 'host');
  if (host !== undefined && others.length === 0) {
    const authority = parseAuthorityWithDefault(host, 80);
    if (pages.isOurs(authority.host)) return authority;
  }
  throw new ProxyError(
    'own_page_unknown',
    `the PAC was asked for as ${host ?? 'nothing'}, which is none of our names`,
    {
      told: 'Ask for it by an address of this proxy, or by the name of its machine.',
    },
  );
}

const welcome = (name: string): string => `This is "${name}", a Viaduct forward proxy, and it is working.

Point a program at this address, for example:

  curl -x THIS_HOST:PORT https://example.com/
  export http_proxy=http://THIS_HOST:PORT https_proxy=http://THIS_HOST:PORT

or a browser at the PAC file http://THIS_HOST:PORT/proxy.pac
`;
