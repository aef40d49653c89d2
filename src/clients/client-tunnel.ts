import type { ProxyError } from '../contracts/failure.ts';
import type { Connection } from '../contracts/stages.ts';
import type { Wire } from '../contracts/wire.ts';
import type { Stop } from '../util/stop.ts';
import type { ClientConnection, EvictedClient } from './client-protocol.ts';

const NOTHING = Buffer.alloc(0);

/** The socket that the client has opened the tunnel on. */
interface TunnelSocket {
  readonly wire: Wire;
  /** The tunnel is over, and the socket, where that was taken elsewhere, is not ours any more. */
  closed(): void;
}

/**
 * The client's side of a tunnel, which takes the place of the connection that has opened it, of which nothing is kept. A relay may take the socket
 * elsewhere: the wire then closes long before the tunnel is over.
 */
export class ClientTunnel implements Connection, ClientConnection {
  /** The state of a connection whose socket is a tunnel's. */
  readonly at = 'handed-off';
  readonly address: undefined = undefined;
  /** What the client has sent for the tunnel already. */
  readonly early: Buffer;
  /** Ends the tunnel. */
  readonly signal: Stop;
  readonly #socket: TunnelSocket;
  #isOpen = true;
  #isSocketClosed = false;

  constructor(socket: TunnelSocket, early: Buffer, signal: Stop) {
    this.#socket = socket;
    this.early = early;
    this.signal = signal;
  }

  get wire(): Wire {
    return this.#socket.wire;
  }

  stop(why: ProxyError): void {
    this.signal.abort(why);
  }

  /** Whether the tunnel still runs, on whichever socket. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get active(): number {
    return this.#isOpen ? 1 : 0;
  }

  close(): void {
    if (!this.#isOpen) this.wire.stream.destroy();
  }

  abort(why: ProxyError): void {
    this.signal.abort(why);
    if (!this.wire.stream.destroyed) this.wire.stream.destroy();
  }

  /** A connection with a tunnel is not idle: it does not come to that. */
  evict(why: ProxyError): EvictedClient {
    this.abort(why);
    return { wire: this.wire, rejection: { bytes: NOTHING, sent: { status: 503, headers: [] } } };
  }

  /** The wire has closed. */
  socketClosed(): void {
    this.#isSocketClosed = true;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // Later: the code that disposes a tunnel has yet to write its record.
    if (this.#isSocketClosed) setImmediate(() => this.#socket.closed());
    else this.wire.stream.destroy();
  }
}
