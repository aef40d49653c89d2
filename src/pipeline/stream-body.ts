import type { Readable } from 'node:stream';
import { ProxyError } from '../contracts/failure.ts';
import type { Body, Framing, Headers } from '../contracts/request.ts';
import type { Receiver } from '../contracts/wire.ts';

const NO_TRAILERS: Headers = [];

/** A body that a program gives as a stream of bytes. Disposing destroys the stream. */
export class StreamBody implements Body, Disposable {
  readonly framing: Framing;
  readonly trailers: Headers = NO_TRAILERS;
  readonly #stream: Readable;
  #receiver: Receiver | undefined;
  #isOver = false;
  /** Came while there was no receiver. */
  #failure: ProxyError | undefined;

  constructor(stream: Readable, framing: Framing) {
    this.framing = framing;
    this.#stream = stream;
    stream
      .on('data', (chunk: string | Uint8Array) => this.#receiver?.bytes(bytesOf(chunk), 'fresh'))
      .on('end', () => this.#end())
      .on('error', (error) => this.#fail(error))
      .on('close', () => this.#fail(new Error('the stream was destroyed before its end')))
      .pause();
  }

  deliverTo(receiver: Receiver | undefined): void {
    this.#receiver = receiver;
    if (receiver === undefined) return this.pause();
    const failure = this.#failure;
    // The receiver learns it once it has been set up.
    if (failure !== undefined) return queueMicrotask(() => this.#receiver?.failed(failure));
    this.resume();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    if (this.#receiver !== undefined) this.#stream.resume();
  }

  lend(): void {}

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#receiver = undefined;
    this.#stream.destroy();
  }

  #end(): void {
    this.#isOver = true;
    this.#receiver?.end();
  }

  #fail(cause: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = new ProxyError('hook_failed', `respond hook: its body failed: ${cause.message}`, { cause });
    this.#receiver?.failed(this.#failure);
  }
}

const bytesOf = (chunk: string | Uint8Array): Buffer =>
  typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
