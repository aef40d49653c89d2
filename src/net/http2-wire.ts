import { constants, type Http2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Sink, WriteCallback } from '../contracts/wire.ts';
import { BaseWire } from './base-wire.ts';
import { hasEndArrived } from './node-internals.ts';

const NOTHING = Buffer.alloc(0);

/** How the peer has ended its stream, for the code that reads or writes there. */
export class Http2StreamError extends Error {
  override readonly name = 'Http2StreamError';
  /** That of a TCP connection in the same state: code above wires knows no streams. */
  readonly code = 'ECONNRESET';
  /** Of RFC 9113 §7. */
  readonly streamCode: number;

  constructor(streamCode: number) {
    super(`the HTTP/2 stream was reset with code ${streamCode}`);
    this.streamCode = streamCode;
  }
}

/**
 * One HTTP/2 stream with the rules of a connection (RFC 9113 §8.5): END_STREAM is a FIN, RST_STREAM a reset. A peer that
 * sends RST_STREAM(NO_ERROR) behind its END_STREAM wants nothing more and says that all is well: what it has sent is
 * delivered to its end, and what is written to it is thrown away.
 */
export class Http2Wire extends BaseWire {
  readonly stream: Http2Sink;
  /** Node has no function that reports it. */
  readonly isQuiet = undefined;
  readonly #http2: Http2Stream;
  /** What the RST_STREAM means, the peer's or ours. */
  #reset: 'none' | 'clean' | 'error' = 'none';

  constructor(http2: Http2Stream) {
    super();
    this.#http2 = http2;
    this.stream = new Http2Sink(http2);
    http2
      .on('data', (chunk: Buffer) => this.received(chunk, 'fresh'))
      .on('aborted', () => this.#aborted())
      .on('end', () => {
        if (this.#reset !== 'error' && this.readState === 'open') this.finishReading({ at: 'ended' });
      })
      // Its code is in the stream.
      .on('error', () => undefined)
      .on('close', () => this.#closed());
    http2.pause();
    // The end of a stream without data has been reported already where it came before this wire.
    if (http2.readableEnded) this.finishReading({ at: 'ended' });
  }

  /** With CONNECT_ERROR, as the proxy has to (RFC 9113 §8.5). */
  reset(): void {
    this.resetWith(constants.NGHTTP2_CONNECT_ERROR);
  }

  /** With a code of RFC 9113 §7. */
  resetWith(code: number): void {
    const { destroyed, closed, writableEnded } = this.#http2;
    if (destroyed || closed) return;
    // Node ends a stream before it resets it, and its peer would take that for the end of the data. While a write is under
    // way, be it of nothing, the end waits behind it, and the reset does not.
    if (!writableEnded) this.#http2.write(NOTHING);
    this.#reset = 'error';
    this.#http2.close(code);
  }

  /** Data of HTTP/2 is in buffers of its own. */
  lend(): void {}

  toDuplex(): Duplex {
    return this.#http2;
  }

  protected stopReading(): void {
    this.#http2.pause();
  }

  protected startReading(): void {
    this.#http2.resume();
  }

  /** The peer has reset the stream, and this side had not ended it. */
  #aborted(): void {
    if (this.#reset !== 'none') return;
    const isClean = this.#http2.rstCode === constants.NGHTTP2_NO_ERROR && hasEndArrived(this.#http2);
    this.#reset = isClean ? 'clean' : 'error';
    if (isClean) this.stream.discard();
    else this.#fail();
  }

  #closed(): void {
    this.stream.closed();
    if (this.readState === 'open') this.#fail();
  }

  #fail(): void {
    if (this.readState !== 'open') return;
    this.finishReading({ at: 'failed', error: new Http2StreamError(this.#http2.rstCode) });
  }
}

/** The writing side of a stream. */
export class Http2Sink implements Sink {
  readonly #http2: Http2Stream;
  #isDiscarding = false;
  #isEnded = false;
  #isClosed = false;
  #listeners: (() => void)[] = [];

  constructor(http2: Http2Stream) {
    this.#http2 = http2;
  }

  get destroyed(): boolean {
    return this.#isClosed;
  }

  get writableEnded(): boolean {
    return this.#isEnded;
  }

  get writableLength(): number {
    return this.#isDiscarding || this.#isClosed ? 0 : this.#http2.writableLength;
  }

  write(bytes: Uint8Array | string, how?: 'latin1' | WriteCallback): void {
    const written = typeof how === 'function' ? how : undefined;
    if (this.#isDiscarding && !this.#isEnded) {
      if (written !== undefined) queueMicrotask(() => written());
      return;
    }
    if (this.#isEnded || this.#http2.destroyed || this.#http2.closed) {
      const error = new Http2StreamError(this.#http2.rstCode);
      if (written !== undefined) queueMicrotask(() => written(error));
      return;
    }
    const whole = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    this.#http2.write(whole, (error) => written?.(this.#isDiscarding ? undefined : error));
  }

  end(done?: () => void): void {
    const isEnding = !this.#isEnded && !this.#isDiscarding && !this.#http2.destroyed && !this.#http2.closed;
    this.#isEnded = true;
    if (isEnding) this.#http2.end(() => done?.());
    else if (done !== undefined) queueMicrotask(done);
  }

  /** As closing a socket does: an end behind what was written, and nothing more is read. */
  destroy(): void {
    if (this.#isClosed || this.#http2.destroyed) return;
    // What comes now is not read, and would keep the stream open.
    this.#http2.resume();
    this.end();
    if (this.#http2.writableFinished) this.#close();
    else this.#http2.once('finish', () => this.#close());
  }

  /** Only when all is out: a `close` of a stream that is still ending keeps Node 24 in a loop for ever. */
  #close(): void {
    const { destroyed, closed } = this.#http2;
    if (!destroyed && !closed && !hasEndArrived(this.#http2)) this.#http2.close(constants.NGHTTP2_NO_ERROR);
  }

  once(_event: 'close', listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** The peer takes nothing more, and that is no failure. */
  discard(): void {
    this.#isDiscarding = true;
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const one of listeners) one();
  }
}
