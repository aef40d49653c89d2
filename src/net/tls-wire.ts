import type { TLSSocket } from 'node:tls';
import type { Wire } from '../contracts/wire.ts';
import { StreamWire } from './node-wire.ts';
import type { TlsTransport } from './tls-transport.ts';

/** TLS has no reset of its own (an alert would be an orderly end): the transport below is reset. */
export class TlsWire extends StreamWire {
  readonly #below: Wire;

  constructor(socket: TLSSocket, below: Wire) {
    super(socket);
    this.#below = below;
  }

  override reset(): void {
    const { writableEnded, writableFinished } = this.stream;
    // While the FIN below is on its way libuv refuses to reset: the socket would never close, and the process not end.
    if (writableEnded && !writableFinished) this.stream.destroy();
    else this.#below.reset();
  }
}

const truncationError = (): Error =>
  Object.assign(new Error('the TLS connection was closed without close_notify'), { code: 'ECONNRESET' });

/**
 * TLS whose end is authentic: where the transport is closed without close_notify the wire fails instead of ending,
 * since bytes may be missing (RFC 9112 §9.8). All that did arrive is delivered first: a message that is complete by its
 * length stays one.
 */
export class MessageTlsWire extends TlsWire {
  #isTransportClosed = false;

  constructor(socket: TLSSocket, below: Wire, transport: TlsTransport) {
    super(socket, below);
    transport.hold(() => {
      this.#isTransportClosed = true;
      this.#check();
    });
  }

  protected override startReading(): void {
    super.startReading();
    this.#check();
  }

  /** TLS passes a verified end on before the next tick of the loop; one that has not come by then never will. */
  #check(): void {
    if (!this.#isTransportClosed) return;
    setImmediate(() => {
      // There is no reader now (the next one makes it look again), or its end was passed on already.
      if (this.paused || this.readState !== 'open') return;
      if (this.stream.readableLength > 0) this.#check();
      else this.stream.destroy(truncationError());
    });
  }
}
