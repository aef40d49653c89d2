import { SOCKS4_VERSION } from '../../protocol/socks/socks4-server.ts';
import { SOCKS5_VERSION } from '../../protocol/socks/socks5-server.ts';
import type { ClientContext, ClientProtocol } from '../client-protocol.ts';
import { FirstBytesConnection, type FirstBytesReader } from '../first-bytes.ts';

/** What one port serves. */
export interface DetectedProtocols {
  readonly http: ClientProtocol;
  readonly socks: ClientProtocol;
  /** Absent where the listener has no `tls`: a TLS client is refused by HTTP then, which says so in its log. */
  readonly tls?: ClientProtocol | undefined;
}

/** Begins every TLS connection: the type of a record that holds a ClientHello (RFC 8446 §5.1). */
const TLS_HANDSHAKE = 0x16;

/** HTTP, SOCKS and TLS on one port. One byte tells them apart, so nothing waits for a second one. */
export function anyProtocol(context: ClientContext, protocols: DetectedProtocols): ClientProtocol {
  const reader: FirstBytesReader = {
    protocol: 'http/1.1',
    rejectedBy: protocols.http,
    read: (bytes) => ({ at: 'serve', protocol: protocolOf(bytes[0], protocols), early: bytes }),
  };
  return {
    protocol: protocols.http.protocol,
    serve: (accepted) => new FirstBytesConnection(accepted, reader, context),
    // Most clients speak HTTP; to others it is an error like any other answer.
    reject: (why, id) => protocols.http.reject(why, id),
    [Symbol.dispose]: () => protocols.tls?.[Symbol.dispose]?.(),
  };
}

function protocolOf(first: number | undefined, { http, socks, tls }: DetectedProtocols): ClientProtocol {
  if (first === SOCKS5_VERSION || first === SOCKS4_VERSION) return socks;
  return first === TLS_HANDSHAKE ? (tls ?? http) : http;
}
