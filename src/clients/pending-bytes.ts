/** A pipelined request, or what goes into a tunnel first; the kernel keeps what is more. */
const BYTES_MAX = 65_536;

const NOTHING = Buffer.alloc(0);

/** Bytes that a client sent before it was their turn, in order. */
export class PendingBytes {
  #chunks: Buffer[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  get length(): number {
    return this.#bytes;
  }

  /** Whether the wire should be paused. */
  get isFull(): boolean {
    return this.#bytes >= BYTES_MAX;
  }

  /** `chunk` must belong to no other code, which could overwrite it. */
  add(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** All of it, and leaves none. */
  take(): Buffer {
    const chunks = this.#chunks;
    const [first = NOTHING] = chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks.length <= 1 ? first : Buffer.concat(chunks);
  }
}
