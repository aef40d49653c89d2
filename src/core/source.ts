import type { Duplex } from 'node:stream';

/**
 * Who owns the bytes that a receiver is given.
 * `shared`: a buffer that the next read on any connection overwrites; copy before returning.
 * `lent`: the buffer that the receiver lent; it is overwritten by this source's next read.
 * `fresh`: nobody else writes here.
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

/** One open socket: read through the source, written and destroyed through the stream. */
export interface Wire extends ByteSource {
  readonly stream: Duplex;
  /** Ends the connection with a reset where the transport has one (TCP RST), so that the peer sees the cut. */
  reset(): void;
}
