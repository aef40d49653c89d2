import type { OriginResponse } from '../contracts/exchange.ts';
import type { ResponseHead } from '../contracts/message.ts';
import type { ForwardRequest, Headers } from '../contracts/request.ts';
import { PROXY_SUPPORT } from '../protocol/http-auth/connection-auth.ts';
import { firstOf, isNamed } from '../protocol/http1/header-list.ts';
import { endToEnd } from '../protocol/http1/hop-by-hop.ts';
import { httpDate } from '../protocol/http1/http-date.ts';
import { viaMember } from '../protocol/http1/via.ts';
import { asksForConnectionAuth } from './connection-auth.ts';
import type { ProxyIdentity, Services } from './services.ts';

/** The head that goes to the client, without framing: the protocol adds that, which knows what the client can read. */
export function outgoingResponse(
  response: Omit<OriginResponse, typeof Symbol.dispose>,
  request: ForwardRequest,
  services: Services,
): ResponseHead {
  const { head, version, body, upgraded } = response;
  const forwarded = endToEnd(head.headers);
  const headers = body?.framing.kind === 'chunked' ? forwarded : forwarded.filter(isNoTrailer);
  headers.push(['Via', viaMember(version, services.identity.pseudonym)]);
  if (asksForConnectionAuth(response)) for (const [name, value] of PROXY_SUPPORT) headers.push([name, value]);
  // RFC 9110 §6.6.1: a recipient that forwards a response without a date adds that of its arrival.
  if (firstOf(headers, 'date') === undefined) headers.push(['Date', httpDate(services.clock.wallMs())]);
  const length = lengthWithoutBody(response, request.method);
  if (length !== undefined) headers.push(['Content-Length', length]);
  if (upgraded !== undefined) {
    headers.push(['Connection', 'Upgrade'], ['Upgrade', firstOf(head.headers, 'upgrade') ?? '']);
  }
  return { status: head.status, reason: head.reason, headers };
}

/** A 1xx on its way: its fields are end-to-end or not, like those of any response. */
export const interimHead = (head: ResponseHead, { pseudonym }: ProxyIdentity): ResponseHead => ({
  ...head,
  headers: [...endToEnd(head.headers), ['Via', viaMember('1.1', pseudonym)]] satisfies Headers,
});

/** HEAD and 304 say how long a body would have been (RFC 9110 §8.6); 1xx and 204 must not. */
function lengthWithoutBody({ head, body }: Pick<OriginResponse, 'head' | 'body'>, method: string): string | undefined {
  if (body !== undefined || head.status < 200 || head.status === 204) return undefined;
  return method === 'HEAD' || head.status === 304 ? firstOf(head.headers, 'content-length') : undefined;
}

const isNoTrailer = ([name]: readonly [string, string]): boolean => !isNamed(name, 'trailer');
