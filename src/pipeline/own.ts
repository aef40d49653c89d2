import type { Reply } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { OwnRequest } from '../core/request.ts';
import { viaMember } from '../protocol/via.ts';
import { ALLOWED } from './max-forwards.ts';
import type { ProxyIdentity } from './rooms.ts';

/** What the proxy port itself serves, or a ProxyError. A request in origin-form is for us; it is never sent on to its `Host`. */
export function serveOwn({ method, path, version }: OwnRequest, { name, pseudonym }: ProxyIdentity): Reply {
  const page = (body: string, field: [string, string]): Reply => ({
    status: 200,
    reason: 'OK',
    headers: [['Via', viaMember(version, pseudonym)], field],
    body,
  });
  if (method === 'OPTIONS') return page('', ['Allow', ALLOWED]);
  if (method !== 'GET' && method !== 'HEAD') {
    throw new ProxyError('own_method_unknown', `${method} in origin-form`, {
      fields: [['Allow', 'GET, HEAD, OPTIONS']],
    });
  }
  if (path !== '/') throw new ProxyError('own_page_unknown', 'a path in origin-form');
  return page(welcome(name), ['Content-Type', 'text/plain; charset=utf-8']);
}

const welcome = (name: string): string => `This is "${name}", a Viaduct forward proxy, and it is working.

Point a program at this address, for example:

  curl -x THIS_HOST:PORT https://example.com/
  export http_proxy=http://THIS_HOST:PORT https_proxy=http://THIS_HOST:PORT
`;
