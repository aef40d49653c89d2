import type { DialScope } from '../../contracts/dialing.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Connection, Hop } from '../../contracts/stages.ts';
import type { HeadLimits } from '../../protocol/http1/head-buffer.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import { ResponseTimer } from '../response-timer.ts';
import { PROXY_FAULTS, type ReceivedHead, readHead } from './read-head.ts';

/** Interim responses of a proxy: nothing asks for any, and a proxy that sends more keeps the client waiting. */
const INTERIM_MAX = 8;

/** A request without a body that a proxy responds to itself. */
export interface ProxyRequest {
  readonly hop: Hop;
  /** Request line and fields, each with its CRLF. */
  readonly head: string;
  readonly within: DialScope;
  readonly limits: HeadLimits;
  /** For the final response, in milliseconds. */
  readonly responseMs: number;
}

/** Writes the request and reads the head of its final response; what follows that head is not touched. */
export async function requestProxy({ wire, early }: Connection, message: ProxyRequest): Promise<ReceivedHead> {
  const { hop, head, within, limits, responseMs } = message;
  const { id, tap } = within;
  tap?.({ type: 'head', id, hop: 'upstream', sent: 'by-us', head });
  using timer = new ResponseTimer(within, responseMs, 'upstream_timeout');
  timer.begin();
  wire.stream.write(`${head}\r\n`, 'latin1');
  let rest = early;
  for (let seen = 0; seen <= INTERIM_MAX; seen++) {
    const received = await readHead(wire, rest, limits, PROXY_FAULTS, timer);
    tap?.({ type: 'head', id, hop: 'upstream', sent: 'by-peer', head: received.text });
    // A switch of protocols was not offered: what would follow a 101 is in no protocol that we know.
    if (received.head.status >= 300) within.onRefused?.(received.head);
    if (received.head.status >= 200 || received.head.status === 101) return received;
    ({ rest } = received);
  }
  throw new ProxyError('upstream_protocol', `${formatHop(hop)}: more than ${INTERIM_MAX} interim responses`);
}
