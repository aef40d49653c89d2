import type { OriginReply, ReplyHead } from '../core/contracts.ts';
import type { ForwardRequest, Headers } from '../core/request.ts';
import { firstOf } from '../protocol/header-list.ts';
import { endToEnd } from '../protocol/hop-by-hop.ts';
import { httpDate } from '../protocol/http-date.ts';
import { viaMember } from '../protocol/via.ts';
import type { ProxyIdentity, Rooms } from './rooms.ts';

/** The head that goes to the client, without framing: that is the listener's, which knows what the client can read. */
export function outgoingReply(
  reply: Omit<OriginReply, typeof Symbol.dispose>,
  request: ForwardRequest,
  rooms: Rooms,
): ReplyHead {
  const { head, version, body, upgraded } = reply;
  const headers = endToEnd(head.headers).filter(([name]) => body?.framing.kind === 'chunked' || !isTrailer(name));
  headers.push(['Via', viaMember(version, rooms.identity.pseudonym)]);
  // RFC 9110 §6.6.1: whoever forwards a dateless answer adds the date of its arrival.
  if (firstOf(headers, 'date') === undefined) headers.push(['Date', httpDate(rooms.clock.wallMs())]);
  const length = lengthWithoutBody(reply, request.method);
  if (length !== undefined) headers.push(['Content-Length', length]);
  if (upgraded !== undefined) {
    headers.push(['Connection', 'Upgrade'], ['Upgrade', firstOf(head.headers, 'upgrade') ?? '']);
  }
  return { status: head.status, reason: head.reason, headers };
}

/** A 1xx on its way: its fields are end-to-end or not, like those of any answer. */
export const interimHead = (head: ReplyHead, { pseudonym }: ProxyIdentity): ReplyHead => ({
  ...head,
  headers: [...endToEnd(head.headers), ['Via', viaMember('1.1', pseudonym)]] satisfies Headers,
});

/** HEAD and 304 say how long a body would have been (RFC 9110 §8.6); 1xx and 204 must not. */
function lengthWithoutBody({ head, body }: Pick<OriginReply, 'head' | 'body'>, method: string): string | undefined {
  if (body !== undefined || head.status < 200 || head.status === 204) return undefined;
  return method === 'HEAD' || head.status === 304 ? firstOf(head.headers, 'content-length') : undefined;
}

const isTrailer = (name: string): boolean => name.toLowerCase() === 'trailer';
