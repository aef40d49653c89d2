import type { ProxyError } from '../../contracts/failure.ts';
import type { Rejection } from '../client-protocol.ts';
import { refusalResponse } from '../http/refusal.ts';
import type { Http1Context } from './context.ts';
import { responseBytes } from './response-bytes.ts';

/** What a client reads that is refused before it has sent a request. */
export function rejectionOf(why: ProxyError, id: string, context: Http1Context): Rejection {
  const response = refusalResponse(why, { id, protocol: 'http/1.1' }, context.services().identity);
  return {
    bytes: responseBytes(response, { method: 'GET', after: 'close', wallMs: context.clock.wallMs() }),
    sent: response,
  };
}
