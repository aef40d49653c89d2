import type { LocalResponse } from '../../contracts/message.ts';
import { printFields } from '../../protocol/http1/header-list.ts';
import { httpDate } from '../../protocol/http1/http-date.ts';
import { reasonOf } from '../../protocol/http1/reasons.ts';

export interface ResponseBytesOptions {
  /** Of the request: a response to HEAD has no body (RFC 9110 §9.3.2). */
  readonly method: string;
  readonly after: 'next' | 'close';
  readonly wallMs: number;
}

/** A complete response of our own as it goes on the wire, with the framing that this connection needs. */
export function responseBytes(response: LocalResponse, { method, after, wallMs }: ResponseBytesOptions): Buffer {
  const body = typeof response.body === 'string' ? Buffer.from(response.body) : response.body;
  const fields = printFields([
    ...response.headers,
    ['Date', httpDate(wallMs)],
    ['Content-Length', String(body.length)],
    ...(after === 'close' ? ([['Connection', 'close']] as const) : []),
  ]);
  const head = Buffer.from(
    `HTTP/1.1 ${response.status} ${response.reason || reasonOf(response.status)}\r\n${fields}\r\n`,
    'latin1',
  );
  return method === 'HEAD' ? head : Buffer.concat([head, body]);
}
