import { Duplex } from 'node:stream';

/** Passes bytes on in both directions and shows them to `see`: this is what the proxy can read of a tunnel. */
export class Tap extends Duplex {
  readonly #inner: Duplex;
  readonly #see: (direction: 'up' | 'down', chunk: Buffer) => void;

  constructor(inner: Duplex, see: (direction: 'up' | 'down', chunk: Buffer) => void) {
    super();
    this.#inner = inner;
    this.#see = see;
    inner.on('data', (chunk: Buffer) => {
      see('down', chunk);
      if (!this.push(chunk)) inner.pause();
    });
    inner.on('end', () => this.push(null));
    inner.on('error', (error) => this.destroy(error));
    inner.on('close', () => this.destroy());
    inner.pause();
  }

  override _read(): void {
    this.#inner.resume();
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#see('up', chunk);
    this.#inner.write(chunk, done);
  }
  override _final(done: (error?: Error | null) => void): void {
    this.#inner.end(() => done());
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inner.destroy();
    done(error);
  }
}
