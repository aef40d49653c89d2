import { ProxyError } from '../contracts/failure.ts';
import type { LocalResponse } from '../contracts/message.ts';
import type { ForwardRequest } from '../contracts/request.ts';
import { printFields, valuesOf } from '../protocol/http1/header-list.ts';
import { receivedProtocol, viaMember } from '../protocol/http1/via.ts';
import type { ProxyIdentity } from './services.ts';

/** Fields that a response to TRACE leaves out (RFC 9110 §9.3.8): a script that reads it must not learn them. */
const SENSITIVE = /^(?:authorization|proxy-authorization|cookie)$/i;

/**
 * TRACE and OPTIONS with `Max-Forwards: 0` are for us (RFC 9110 §7.6.2); `undefined` sends the request on. A TRACE
 * has no body (§9.3.8): one that has is refused.
 */
export function maxForwardsResponse(request: ForwardRequest, { pseudonym }: ProxyIdentity): LocalResponse | undefined {
  const { method, headers, body } = request;
  if (method !== 'TRACE' && method !== 'OPTIONS') return undefined;
  if (method === 'TRACE' && body !== undefined) throw new ProxyError('bad_request', 'TRACE with a body');
  const values = valuesOf(headers, 'max-forwards');
  const [value] = values;
  if (value === undefined) return undefined;
  if (values.length > 1 || !/^\d{1,9}$/.test(value))
    throw new ProxyError('bad_request', 'Max-Forwards is not a number');
  if (Number(value) > 0) return undefined;
  const received = receivedProtocol(request.protocol);
  const via: [string, string] = ['Via', viaMember(received, pseudonym)];
  if (method === 'OPTIONS') return { status: 200, reason: 'OK', headers: [via, ['Allow', ALLOWED]], body: '' };
  const shown = headers.filter(([name]) => !SENSITIVE.test(name));
  return {
    status: 200,
    reason: 'OK',
    headers: [via, ['Content-Type', 'message/http']],
    body: Buffer.from(`TRACE ${request.url} HTTP/${received}\r\n${printFields(shown)}\r\n`, 'latin1'),
  };
}

/** What we serve; a proxy also passes on methods that it does not know. */
export const ALLOWED = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT';
