import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

const shown = new WeakMap<TLSSocket, X509Certificate | undefined>();

/**
 * The certificate that the peer has shown. Node takes it out of the chain of a client's socket each time that it is asked for: the
 * second time it returns that of the authority, or none. So Node is asked once for each socket.
 */
export function peerCertificate(socket: TLSSocket): X509Certificate | undefined {
  if (!shown.has(socket)) shown.set(socket, socket.getPeerX509Certificate());
  return shown.get(socket);
}
