import type { Connection } from '../contracts/stages.ts';
import type { Wire } from '../contracts/wire.ts';
import type { Stop } from '../util/stop.ts';

export interface ClientTunnelOptions {
  readonly wire: Wire;
  /** What the client has sent for the tunnel already. */
  readonly early: Buffer;
  /** Ends the tunnel. */
  readonly signal: Stop;
  /** Called when the tunnel is over and its socket, where that was taken elsewhere, is not ours any more. */
  readonly onOver: () => void;
}

/**
 * The client's side of a tunnel, which takes the place of the connection that has opened it. A relay may take the socket
 * elsewhere: the wire then closes long before the tunnel is over.
 */
export class ClientTunnel implements Connection {
  /** The state of a connection whose socket is a tunnel's. */
  readonly at = 'handed-off';
  readonly address: undefined = undefined;
  readonly #options: ClientTunnelOptions;
  #isOpen = true;
  #isSocketClosed = false;

  constructor(options: ClientTunnelOptions) {
    this.#options = options;
  }

  get wire(): Wire {
    return this.#options.wire;
  }

  get early(): Buffer {
    return this.#options.early;
  }

  get signal(): Stop {
    return this.#options.signal;
  }

  /** Whether the tunnel still runs, on whichever socket. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The wire has closed. */
  socketClosed(): void {
    this.#isSocketClosed = true;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // Later: the code that disposes a tunnel has yet to write its record.
    if (this.#isSocketClosed) setImmediate(this.#options.onOver);
    else this.wire.stream.destroy();
  }
}
