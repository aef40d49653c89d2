import type { ClientProtocol } from '../client-protocol.ts';
import { Http1Connection } from './connection.ts';
import type { Http1Context } from './context.ts';
import { rejectionOf } from './rejection.ts';

/** HTTP/1.0 and HTTP/1.1 (RFC 9112). */
export const http1Protocol = (context: Http1Context): ClientProtocol => ({
  protocol: 'http/1.1',
  serve: (accepted) => new Http1Connection(accepted, context),
  reject: (why, id) => rejectionOf(why, id, context),
});
