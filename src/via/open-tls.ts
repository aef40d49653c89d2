import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { StopSignal } from '../util/stop.ts';

/** The name to ask for and to find in the certificate; an address has none (RFC 6066 §3). */
export const serverNameOf = (host: string): ConnectionOptions => (isIP(host) === 0 ? { servername: host } : {});

/**
 * TLS with the target inside a tunnel; `options` as for `tls.connect`, or an agent's, which contain them. They decide what
 * is verified, by default everything: NODE_TLS_REJECT_UNAUTHORIZED=0 was meant for other connections of the process. Resolves when the handshake is done; rejects with its error or the signal's reason.
 */
export function openTls(tunnel: Duplex, host: string, options: object, signal: StopSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      Object.assign({ rejectUnauthorized: true }, serverNameOf(host), options, { socket: tunnel }),
    );
    const finish = (settle: () => void) => {
      socket.off('secureConnect', onSecure).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const fail = (error: unknown) => {
      finish(() => reject(error));
      socket.on('error', () => undefined).destroy();
    };
    const onSecure = () => finish(() => resolve(socket));
    const onError = (error: Error) => fail(error);
    const onAbort = () => fail(signal.reason);
    if (signal.aborted) return onAbort();
    socket.on('secureConnect', onSecure).on('error', onError);
    signal.addEventListener('abort', onAbort);
  });
}
