import { ProxyError } from '../contracts/failure.ts';
import type { LocalResponse } from '../contracts/message.ts';
import type { Authority, LocalRequest } from '../contracts/request.ts';
import { parseAuthorityWithDefault } from '../protocol/addresses/authority.ts';
import { valuesOf } from '../protocol/http1/header-list.ts';
import { receivedProtocol, viaMember } from '../protocol/http1/via.ts';
import { refuseForeignPages } from './foreign-page.ts';
import { ALLOWED } from './max-forwards.ts';
import type { LocalPages, Services } from './services.ts';

/** Where browsers look for it; the second is Alpaca's. */
const PAC_PATHS: ReadonlySet<string> = new Set(['/proxy.pac', '/alpaca.pac']);
/** `charset` is said: browsers read a script without one as Latin-1. */
const PAC_TYPE = 'application/x-ns-proxy-autoconfig; charset=utf-8';
/** A copy would outlive the next network, and every page that reaches the cache would get it. */
const NO_COPY: [string, string] = ['Cache-Control', 'no-store'];

/**
 * What the proxy port itself serves, or a ProxyError. A request in origin-form is for us; it is never sent on to its
 * `Host`. Clients are judged by their address as for any request. They need no login: programs that read a PAC cannot
 * send a password for it, and the other page holds nothing that a refusal would not hold.
 */
export function serveLocalPage(
  request: LocalRequest,
  { clientFilter, identity, pages }: Pick<Services, 'clientFilter' | 'identity' | 'pages'>,
): LocalResponse {
  const { method, protocol } = request;
  // Again: a reload may have come since the connection did.
  const refused = clientFilter?.refusal(request.client);
  if (refused !== undefined) throw refused;
  refuseForeignPages(request.headers);
  const path = request.path.replace(/\?.*$/s, '');
  const page = (body: string, ...fields: [string, string][]): LocalResponse => ({
    status: 200,
    reason: 'OK',
    headers: [['Via', viaMember(receivedProtocol(protocol), identity.pseudonym)], ...fields],
    body,
  });
  if (method === 'OPTIONS') return page('', ['Allow', ALLOWED]);
  if (method !== 'GET' && method !== 'HEAD') {
    throw new ProxyError('method_not_allowed', `${method} in origin-form${forOther(request, pages)}`, {
      headers: [['Allow', 'GET, HEAD, OPTIONS']],
      ...hint(request, pages),
    });
  }
  if (PAC_PATHS.has(path))
    return page(pages.pac(requestedAuthority(request, pages), speaks(request)), ['Content-Type', PAC_TYPE], NO_COPY);
  if (path !== '/') {
    const detail = `a path in origin-form${forOther(request, pages)}`;
    throw new ProxyError('not_found', detail, hint(request, pages));
  }
  const { clientDetail } = hint(request, pages);
  return page(
    welcome(identity.name, request.client.tls === undefined ? 'http' : 'https') +
      (clientDetail === undefined ? '' : `\n${clientDetail}\n`),
    ['Content-Type', 'text/plain; charset=utf-8'],
    NO_COPY,
  );
}

/**
 * The authority by which the client reached us, which is how its browser will reach us too. One that is not ours came
 * from a page that rebinds its name to this address: it would learn which hosts the PAC knows (RFC 9110 §17.1).
 */
function requestedAuthority({ headers, client }: LocalRequest, pages: LocalPages): Authority {
  const [host, ...others] = valuesOf(headers, 'host');
  if (host !== undefined && others.length === 0) {
    const authority = parseAuthorityWithDefault(host, client.tls === undefined ? 80 : 443);
    if (pages.isOurs(authority.host)) return authority;
  }
  throw new ProxyError('not_found', `the PAC was asked for as ${host ?? 'nothing'}, which is none of our names`, {
    clientDetail: 'Ask for it by an address of this proxy, or by the name of its machine.',
  });
}

/** What a PAC calls a proxy that is reached as this client has reached us. */
const speaks = ({ client }: LocalRequest): 'PROXY' | 'HTTPS' => (client.tls === undefined ? 'PROXY' : 'HTTPS');

/** Whether the request is for another host, as if this were its web server. */
function isForOther({ headers }: LocalRequest, pages: LocalPages): boolean {
  const [host, ...others] = valuesOf(headers, 'host');
  if (host === undefined || host === '' || others.length > 0) return false;
  return !pages.isOurs(parseAuthorityWithDefault(host, 80).host);
}

const forOther = (request: LocalRequest, pages: LocalPages): string =>
  isForOther(request, pages) ? ', for another host: PHP sends it so without request_fulluri' : '';

const hint = (request: LocalRequest, pages: LocalPages): { readonly clientDetail?: string } =>
  isForOther(request, pages) ? { clientDetail: HINT } : {};

const HINT =
  "The request names another host as if this were its web server, and a client of a proxy sends the whole URL: in PHP set 'request_fulluri' => true in the http context of the stream.";

const welcome = (
  name: string,
  scheme: 'http' | 'https',
): string => `This is "${name}", a Viaduct forward proxy, and it is working.

Point a program at this address, for example:

  curl -x ${scheme === 'http' ? '' : 'https://'}THIS_HOST:PORT https://example.com/
  export http_proxy=${scheme}://THIS_HOST:PORT https_proxy=${scheme}://THIS_HOST:PORT

or a browser at the PAC file ${scheme}://THIS_HOST:PORT/proxy.pac
`;
