import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { Wire } from '../../contracts/wire.ts';
import { KEEP_ALIVE_DELAY_MS } from '../../net/deferred-keep-alive.ts';
import type { EpollSockets } from '../../net/epoll-sockets.ts';
import type { EpollWire } from '../../net/epoll-wire.ts';
import { SocketWire, StreamWire } from '../../net/node-wire.ts';
import { NO_SLOT } from '../../util/slot-list.ts';
import type { StopSignal } from '../../util/stop.ts';
import { nodeFailure } from '../node-failure.ts';
import type { CountedConnection, DialledConnections } from './dialled-connections.ts';

const NOTHING = Buffer.alloc(0);

/** Opens one TCP connection to one address, from a local one where that is given. The caller owns it from the moment that the promise resolves. */
export type OpenTcp = (address: string, port: number, signal: StopSignal, from?: string) => Promise<CountedConnection>;

/**
 * For a relay: bytes are read without a stream's queue. Node takes a local port when it sets a local address, before it is
 * known where the connection leads: each such address then has only as many connections as the system has ports.
 */
export const openTcp: OpenTcp = (address, port, signal, from) => {
  if (signal.aborted) return Promise.reject(signal.reason);
  const wire = new SocketWire();
  const socket = connect({ ...settingsOf(address, port, from), onread: wire.onread });
  return connected(socket, wire.attach(socket), address, port, signal);
};

/** The same over the addon's sockets. They get their local port with their other end, so that one serves many targets. */
export const epollTcp =
  (sockets: EpollSockets): OpenTcp =>
  (address, port, signal, from) => {
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) => reject(nodeFailure(cause, `connecting to ${address} port ${port}`));
      const onAbort = () => {
        signal.removeEventListener('abort', onAbort);
        wire.destroy();
        reject(signal.reason);
      };
      let wire: EpollWire;
      try {
        const onDialled = (error: Error | undefined) => {
          signal.removeEventListener('abort', onAbort);
          if (error === undefined) resolve(new TcpConnection(wire, address));
          else fail(error);
        };
        wire = sockets.dial(address, port, onDialled, from);
      } catch (error) {
        return fail(error);
      }
      signal.addEventListener('abort', onAbort);
    });
  };

/** For a program that will read the socket itself, as a stream. */
export const openStream: OpenTcp = (address, port, signal) => {
  if (signal.aborted) return Promise.reject(signal.reason);
  const probes = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS };
  const socket = connect({ ...settingsOf(address, port), ...probes });
  return connected(socket, new StreamWire(socket), address, port, signal);
};

const settingsOf = (address: string, port: number, from?: string): TcpNetConnectOpts => ({
  host: address,
  port,
  ...(from !== undefined && { localAddress: from }),
  allowHalfOpen: true,
  noDelay: true,
  // The race between addresses is ours (RFC 8305): Node's gives an attempt up when the next one starts.
  autoSelectFamily: false,
});

function connected(
  socket: Socket,
  wire: Wire,
  address: string,
  port: number,
  signal: StopSignal,
): Promise<CountedConnection> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      socket.off('connect', onConnect).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onConnect = () => finish(() => resolve(new TcpConnection(wire, address)));
    const onError = (cause: Error) => finish(() => reject(nodeFailure(cause, `connecting to ${address} port ${port}`)));
    const onAbort = () => {
      finish(() => reject(signal.reason));
      socket.destroy();
    };
    socket.on('connect', onConnect).on('error', onError);
    signal.addEventListener('abort', onAbort);
  });
}

/** A class, so that ten thousand open ones do not keep a closure each. */
class TcpConnection implements CountedConnection {
  slot: number = NO_SLOT;
  requestId = '';
  countedIn: DialledConnections | undefined = undefined;
  #wire: Wire | undefined;
  readonly early: Buffer = NOTHING;
  readonly address: string;

  constructor(wire: Wire, address: string) {
    this.#wire = wire;
    this.address = address;
  }

  get wire(): Wire {
    if (this.#wire === undefined) throw new TypeError('a relay has taken this socket');
    return this.#wire;
  }

  socketTaken(): void {
    this.#wire = undefined;
  }

  [Symbol.dispose](): void {
    this.countedIn?.delete(this);
    this.#wire?.stream.destroy();
  }
}
