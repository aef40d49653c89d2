import { connect } from 'node:net';
import type { Connection } from '../core/stages.ts';
import { SocketWire } from '../core/wire.ts';
import { nodeFailure } from './node-failure.ts';

/** Probes start after a minute of silence, so that a peer that vanished is noticed before the idle limit. */
export const KEEP_ALIVE_DELAY_MS = 60_000;

const NOTHING = Buffer.alloc(0);

/** Opens one TCP connection to one address. The caller owns it from the moment that the promise resolves. */
export function openTcp(address: string, port: number, signal: AbortSignal): Promise<Connection> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const wire = new SocketWire();
    const socket = connect({
      host: address,
      port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
      // The race between addresses is ours (RFC 8305): Node's gives an attempt up when the next one starts.
      autoSelectFamily: false,
      onread: wire.onread,
    });
    wire.attach(socket);
    const finish = (settle: () => void) => {
      socket.off('connect', onConnect).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onConnect = () => finish(() => resolve(connectionOf(wire, address)));
    const onError = (cause: Error) => finish(() => reject(nodeFailure(cause, `connecting to ${address} port ${port}`)));
    const onAbort = () => {
      finish(() => reject(signal.reason));
      socket.destroy();
    };
    socket.on('connect', onConnect).on('error', onError);
    signal.addEventListener('abort', onAbort);
  });
}

const connectionOf = (wire: SocketWire, address: string): Connection => ({
  wire,
  early: NOTHING,
  address,
  [Symbol.dispose]: () => void wire.stream.destroy(),
});
