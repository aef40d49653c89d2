import type { Written } from '../core/source.ts';

interface Unsent {
  bytes: Uint8Array;
  readonly written: Written | undefined;
}

/** Bytes that the kernel did not take at once, in order, and who is told when it has. */
export class Outbox {
  #unsent: Unsent[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Somebody may wait for no bytes at all to be out. */
  get isEmpty(): boolean {
    return this.#unsent.length === 0;
  }

  add(bytes: Uint8Array, written: Written | undefined): void {
    this.#unsent.push({ bytes, written });
    this.#bytes += bytes.length;
  }

  /** Sends what the kernel takes, as long as `mayGoOn`: whoever is told may close the socket. 0, or a negative errno. */
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

  /** All of it, for whoever goes on with it or tells that nobody will. */
  takeAll(): readonly Unsent[] {
    const unsent = this.#unsent;
    this.#unsent = [];
    this.#bytes = 0;
    return unsent;
  }
}
