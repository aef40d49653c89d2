import type { ClientContext, ClientProtocol } from '../client-protocol.ts';
import { FirstBytesConnection, type FirstBytesReader } from '../first-bytes.ts';

/** Every client of HTTP/2 sends it first (RFC 9113 §3.4); no request of HTTP/1 begins like this. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** HTTP/2 without TLS beside HTTP/1 (RFC 9113 §3.3): the first byte that differs from the preface tells them apart. */
export function priorKnowledge(
  context: ClientContext,
  { http1, http2 }: { readonly http1: ClientProtocol; readonly http2: ClientProtocol },
): ClientProtocol {
  const reader: FirstBytesReader = {
    protocol: http1.protocol,
    rejectedBy: http1,
    read(bytes) {
      const length = Math.min(bytes.length, PREFACE.length);
      if (!bytes.subarray(0, length).equals(PREFACE.subarray(0, length)))
        return { at: 'serve', protocol: http1, early: bytes };
      return length === PREFACE.length ? { at: 'serve', protocol: http2, early: bytes } : undefined;
    },
  };
  return {
    protocol: http1.protocol,
    serve: (accepted) => new FirstBytesConnection(accepted, reader, context),
    reject: (why, id) => http1.reject(why, id),
  };
}
