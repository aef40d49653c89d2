import type { Reply } from '../core/contracts.ts';
import type { OwnRequest } from '../core/request.ts';
import { reasonOf } from '../protocol/reasons.ts';
import { viaMember } from '../protocol/via.ts';
import { ALLOWED } from './max-forwards.ts';
import type { ProxyIdentity } from './rooms.ts';

/** What the proxy port itself serves. A request in origin-form is for us; it is never sent on to its `Host`. */
export function serveOwn({ method, path, version }: OwnRequest, { name, pseudonym }: ProxyIdentity): Reply {
  const via: [string, string] = ['Via', viaMember(version, pseudonym)];
  const page = (status: number, body: string, ...more: [string, string][]): Reply => ({
    status,
    reason: reasonOf(status),
    headers: [via, ['Content-Type', 'text/plain; charset=utf-8'], ...more],
    body,
  });
  if (method === 'OPTIONS') return page(200, '', ['Allow', ALLOWED]);
  if (method !== 'GET' && method !== 'HEAD')
    return page(405, 'This is a proxy; ask it for a whole URL.\n', ['Allow', 'GET, HEAD, OPTIONS']);
  if (path !== '/')
    return page(404, 'This is a proxy, not a web server: there is nothing here. Ask it for a whole URL.\n');
  return page(200, welcome(name));
}

const welcome = (name: string): string => `This is "${name}", a Viaduct forward proxy, and it is working.

Point a program at this address, for example:

  curl -x THIS_HOST:PORT https://example.com/
  export http_proxy=http://THIS_HOST:PORT https_proxy=http://THIS_HOST:PORT
`;
