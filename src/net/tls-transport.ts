import { Duplex } from 'node:stream';
import type { Ownership, Wire, WriteCallback } from '../contracts/wire.ts';

/** As much as one read of a socket brings. */
const BUFFER_BYTES = 65_536;

/**
 * The transport below TLS, for connections whose end must be a verified one. Node's TLS ends the same way behind a
 * close_notify and behind a transport that was only closed, which an attacker on the path can cause. This stream keeps
 * the end of the transport to itself once `hold` was called: when TLS ends all the same, that was a close_notify.
 * It costs a copy for each read and a tick of the loop for each write, so tunnels do without it.
 */
export class TlsTransport extends Duplex {
  readonly #below: Wire;
  #state: 'open' | 'ended' | 'reported' = 'open';
  #closed: (() => void) | undefined;

  constructor(below: Wire) {
    super({ allowHalfOpen: true, readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES });
    this.#below = below;
    below.deliverTo({
      bytes: (chunk, ownership) => this.#add(chunk, ownership),
      end: () => this.#ended(),
      failed: (error) => this.destroy(error),
    });
  }

  /** From now on `closed` is called once, when the transport has ended and all that it brought was read. */
  hold(closed: () => void): void {
    this.#closed = closed;
    this.#report();
  }

  override _read(): void {
    this.#report();
    this.#below.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, written: WriteCallback): void {
    this.#below.stream.write(chunk, (error) => {
      // One that failed may still be named in a write that the system was asked for.
      if (!error) free(chunk);
      written(error);
    });
  }

  override _writev(pieces: readonly { readonly chunk: Buffer }[], written: WriteCallback): void {
    const whole = Buffer.concat(pieces.map(({ chunk }) => chunk));
    for (const { chunk } of pieces) free(chunk);
    this._write(whole, 'binary', written);
  }

  override _final(ended: () => void): void {
    this.#below.stream.end(ended);
  }

  override _destroy(error: Error | null, destroyed: (error: Error | null) => void): void {
    this.#below.deliverTo(undefined);
    this.#below.stream.destroy();
    destroyed(error);
  }

  #add(chunk: Buffer, ownership: Ownership): void {
    const own = ownership === 'fresh' ? chunk : Buffer.from(chunk);
    if (!this.push(own)) this.#below.pause();
    // TLS copies what it is given, and mostly at once.
    if (this.readableLength === 0) free(own);
  }

  #ended(): void {
    this.#state = 'ended';
    // During the handshake TLS has to learn of it, and fails.
    if (this.#closed === undefined) this.push(null);
    else this.#report();
  }

  #report(): void {
    if (this.#state !== 'ended' || this.#closed === undefined || this.readableLength > 0) return;
    this.#state = 'reported';
    this.#closed();
  }
}

/**
 * Gives the memory of a buffer back now. Each record that TLS writes and each read of the transport is a buffer of its
 * own, and V8 would let 32 MB of them become garbage before it looks. Small ones lie in a pool that is not ours.
 */
function free({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
