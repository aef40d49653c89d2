import type { ClientProtocol } from '../client-protocol.ts';
import type { Http1Context } from '../http1/context.ts';
import { rejectionOf } from '../http1/rejection.ts';
import { Http2Connection } from './connection.ts';

const NOTHING = Buffer.alloc(0);

/** HTTP/2 (RFC 9113), behind ALPN or with prior knowledge. */
export const http2Protocol = (context: Http1Context): ClientProtocol => ({
  protocol: 'h2',
  serve: (accepted) => new Http2Connection(accepted, context),
  reject: (why, id) => ({ bytes: NOTHING, sent: rejectionOf(why, id, context).sent }),
});
