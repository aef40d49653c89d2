import type { Sink } from '../../contracts/wire.ts';

/** How long it reads on behind its last byte. */
export const LINGER_MS = 1_000;

export interface ClosingOptions {
  readonly stream: Sink;
  /** `leave-at-once`: the client has nothing more to send, and is reset by nothing of its own. */
  readonly lingering: 'read-on' | 'leave-at-once';
  /** Whether the FIN of the client is here. */
  readonly hasEnded: () => boolean;
  /** All is out, our FIN included, and the client has a moment to close. */
  readonly onFlushed: () => void;
}

/**
 * A connection that serves nothing more: what was written goes out, and a FIN behind it. Then it reads on a little and throws
 * away what comes: a reset for bytes that are not read could take the response from the client (RFC 9112 §9.6).
 */
export class Closing {
  /** The state of a connection that closes. */
  readonly at = 'closing';
  readonly #options: ClosingOptions;
  #isFlushed = false;

  constructor(options: ClosingOptions) {
    this.#options = options;
  }

  /** Whether the client still has to take something. */
  get isActive(): boolean {
    return !this.#isFlushed;
  }

  begin(): void {
    this.#options.stream.end(() => this.#flushed());
  }

  /** The FIN of the client has come. */
  clientEnded(): void {
    if (this.#isFlushed) this.#options.stream.destroy();
  }

  #flushed(): void {
    const { stream, lingering, hasEnded, onFlushed } = this.#options;
    if (stream.destroyed) return;
    if (hasEnded() || lingering === 'leave-at-once') return void stream.destroy();
    this.#isFlushed = true;
    onFlushed();
  }
}
