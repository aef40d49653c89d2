import type { Sink } from '../../contracts/wire.ts';

/** Answers that may wait for a client while its next request is served: a few, so that a short pause costs no turn. */
const BYTES_MAX = 16_384;
const NOTHING = Buffer.alloc(0);

/** What was written to a client and not taken by it yet. While it is awaited, nothing more is read of the client or written to it. */
export class ClientOutput {
  readonly #to: Sink;
  /** Bytes that waited when it was asked before; `undefined`: nothing is awaited. */
  #awaitedBytes: number | undefined;

  constructor(to: Sink) {
    this.#to = to;
  }

  get hasUnsentBytes(): boolean {
    return this.#to.writableLength > 0;
  }

  get isAwaited(): boolean {
    return this.#awaitedBytes !== undefined;
  }

  /** Whether the client has taken anything of what is awaited since this was asked before. */
  wasTaken(): boolean {
    if (this.#awaitedBytes === undefined) return false;
    const before = this.#awaitedBytes;
    this.#awaitedBytes = this.#to.writableLength;
    return this.#awaitedBytes < before;
  }

  /** `undefined`: so little waits that more may be made for the client. Else resolves once it has taken all, or is gone. */
  whenDrained(): Promise<void> | undefined {
    if (this.#to.writableLength <= BYTES_MAX) return undefined;
    this.#awaitedBytes = this.#to.writableLength;
    return new Promise((resolve) =>
      this.#to.write(NOTHING, () => {
        this.#awaitedBytes = undefined;
        resolve();
      }),
    );
  }

  /** Nothing more is written, but for the end. */
  awaitLast(): void {
    if (this.hasUnsentBytes) this.#awaitedBytes = this.#to.writableLength;
  }

  /** All of it, and the end, is out. */
  isOut(): void {
    this.#awaitedBytes = undefined;
  }
}
