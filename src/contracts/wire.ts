import type { Duplex } from 'node:stream';

/**
 * Who owns the bytes that a receiver is given.
 * `shared`: a buffer that the next read on any connection overwrites; copy before returning.
 * `lent`: the buffer that the receiver lent; it is overwritten by this source's next read.
 * `fresh`: no other code writes here.
 */
export type Ownership = 'shared' | 'lent' | 'fresh';

/** Takes what a source delivers. `end` and `failed` come at most once, and nothing follows them. */
export interface Receiver {
  bytes(chunk: Buffer, ownership: Ownership): void;
  end(): void;
  failed(error: Error): void;
}

/**
 * Bytes pushed to one receiver at a time. Node's streams allocate for every read and cannot be given a budget;
 * a source reads into buffers that outlive the read, which is half of what a relay costs.
 */
export interface ByteSource {
  /** Hands all that follows to `receiver`. `undefined` keeps the bytes in the kernel until the next receiver. */
  deliverTo(receiver: Receiver | undefined): void;
  pause(): void;
  resume(): void;
  /**
   * Reads land in `buffer` from now on; `undefined` goes back to the shared one. A source that cannot ignores it.
   * Only from within `bytes`: at any other moment the kernel may already have been given the buffer before.
   */
  lend(buffer: Buffer | undefined): void;
}

/** Called once the bytes of a write have gone to the kernel, perhaps before `write` returns; or when they never will. */
export type WriteCallback = (error?: Error | null) => void;

/** The writing side of a connection and its end: what we use of Node's streams, so that each of them is one. */
export interface Sink {
  /** Closed, by either side. */
  readonly destroyed: boolean;
  /** `end` has been called. */
  readonly writableEnded: boolean;
  /** Bytes that wait until the peer takes them. */
  readonly writableLength: number;
  /** Takes all of it. The bytes must stay as they are until they are written. */
  write(bytes: Uint8Array, written?: WriteCallback): unknown;
  write(text: string, encoding: 'latin1'): unknown;
  /** Sends a FIN behind all that waits; `done` is called when it is out, or never will be. */
  end(done?: () => void): unknown;
  destroy(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/** One open socket: read through the source, written and destroyed through the stream. */
export interface Wire extends ByteSource {
  readonly stream: Sink;
  /** Bytes so far that were delivered, and that were written; inside TLS, those inside it. `undefined`: not counted. */
  readonly bytesRead?: number | undefined;
  readonly bytesWritten?: number | undefined;
  /** Ends the connection with a reset where the transport has one (TCP RST), so that the peer sees the cut. */
  reset(): void;
  /**
   * Whether there is nothing to be read, not even an end; `undefined`: that shows in the next turn of the loop. Anything but
   * `true` is for a caller that closes the wire then: finding out may take what there is.
   */
  readonly isQuiet: boolean | undefined;
  /** The socket as a stream of Node, for code that can read only that. Nothing is delivered any more. */
  toDuplex(): Duplex;
}
