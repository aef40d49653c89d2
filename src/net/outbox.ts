import type { WriteCallback } from '../contracts/wire.ts';

interface UnsentChunk {
  bytes: Uint8Array;
  readonly written: WriteCallback | undefined;
}

/** Bytes that the kernel did not take at once, in order, with the callbacks of their writes. */
export class Outbox {
  #unsent: UnsentChunk[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Not the same as no bytes: the callback of an empty write waits here too. */
  get isEmpty(): boolean {
    return this.#unsent.length === 0;
  }

  add(bytes: Uint8Array, written: WriteCallback | undefined): void {
    this.#unsent.push({ bytes, written });
    this.#bytes += bytes.length;
  }

  /** Sends what the kernel takes, as long as `mayGoOn`: a callback may close the socket. 0, or a negative errno. */
  flush(send: (bytes: Uint8Array) => number, mayGoOn: () => boolean): number {
    for (let first = this.#unsent[0]; first !== undefined && mayGoOn(); first = this.#unsent[0]) {
      const sent = send(first.bytes);
      if (sent < 0) return sent;
      this.#bytes -= sent;
      if (sent < first.bytes.length) {
        first.bytes = first.bytes.subarray(sent);
        return 0;
      }
      this.#unsent.shift();
      first.written?.();
    }
    return 0;
  }

  /** Empties it. The caller sends the bytes elsewhere, or calls each callback with an error. */
  takeAll(): readonly UnsentChunk[] {
    const unsent = this.#unsent;
    this.#unsent = [];
    this.#bytes = 0;
    return unsent;
  }
}
