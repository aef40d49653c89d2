import type { Sink } from '../../contracts/wire.ts';

/** Answers that may wait for a client while its next request is served: a few, so that a short pause costs no turn. */
const BYTES_MAX = 16_384;
const NOTHING = Buffer.alloc(0);

/** What a client has not taken yet of what was written to it, while nothing more is read of it or written to it. */
export class UnreadOutput {
  readonly #to: Sink;
  #bytes: number;
  /** Resolves once the client has taken all of it, or is gone. */
  readonly taken: Promise<void>;

  constructor(to: Sink) {
    this.#to = to;
    this.#bytes = to.writableLength;
    this.taken = new Promise((resolve) => to.write(NOTHING, () => resolve()));
  }

  /** Whether the client has taken anything since this was asked before. */
  get shrinks(): boolean {
    const before = this.#bytes;
    this.#bytes = this.#to.writableLength;
    return this.#bytes < before;
  }
}

/** Whether so much waits for the client that nothing more should be made for it. */
export const isBehind = ({ writableLength }: Sink): boolean => writableLength > BYTES_MAX;
