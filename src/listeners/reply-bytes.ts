import type { Reply } from '../core/contracts.ts';
import { printFields } from '../protocol/header-list.ts';
import { httpDate } from '../protocol/http-date.ts';
import { reasonOf } from '../protocol/reasons.ts';

export interface ReplySetting {
  /** Of the request: an answer to HEAD has no body (RFC 9110 §9.3.2). */
  readonly method: string;
  readonly after: 'next' | 'close';
  readonly wallMs: number;
}

/** A complete answer of our own as it goes on the wire, with the framing that this connection needs. */
export function replyBytes(reply: Reply, { method, after, wallMs }: ReplySetting): Buffer {
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
  const fields = printFields([
    ...reply.headers,
    ['Date', httpDate(wallMs)],
    ['Content-Length', String(body.length)],
    ...(after === 'close' ? ([['Connection', 'close']] as const) : []),
  ]);
  const head = Buffer.from(
    `HTTP/1.1 ${reply.status} ${reply.reason || reasonOf(reply.status)}\r\n${fields}\r\n`,
    'latin1',
  );
  return method === 'HEAD' ? head : Buffer.concat([head, body]);
}
