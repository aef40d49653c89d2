type Listener = (() => void) | { handleEvent(): void };

/** What waiting code needs of an AbortSignal, so that it may also be something cheaper. */
export interface StopSignal {
  readonly aborted: boolean;
  /** Why; a ProxyError wherever we are the ones who abort. */
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: Listener): void;
  removeEventListener(type: 'abort', listener: Listener): void;
}

/**
 * Stops whatever waits on it, as an AbortController does. Every request has several listeners that come and go, and on
 * Node's signal they cost a tenth of all that a small request does.
 */
export class Stop implements StopSignal {
  #isAborted = false;
  #reason: unknown;
  /** Rarely more than one listens at a time. */
  #first: Listener | undefined;
  #others: Set<Listener> | undefined;
  #abortSignal: AbortSignal | undefined;

  get aborted(): boolean {
    return this.#isAborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Tells everyone once, in the order in which they came; what is said later changes nothing. */
  abort(reason: unknown): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason;
    const first = this.#first;
    this.#first = undefined;
    tell(first);
    // Whoever leaves meanwhile is not told.
    for (const listener of this.#others ?? []) tell(listener);
    this.#others = undefined;
  }

  addEventListener(_type: 'abort', listener: Listener): void {
    if (this.#isAborted || listener === this.#first) return;
    if (this.#first === undefined && this.#others === undefined) this.#first = listener;
    else {
      this.#others ??= new Set();
      this.#others.add(listener);
    }
  }

  removeEventListener(_type: 'abort', listener: Listener): void {
    if (listener === this.#first) this.#first = undefined;
    else if (this.#others?.delete(listener) && this.#others.size === 0) this.#others = undefined;
  }

  /** The same for programs and for Node, made when the first of them asks. */
  get abortSignal(): AbortSignal {
    if (this.#abortSignal === undefined) {
      const controller = new AbortController();
      if (this.#isAborted) controller.abort(this.#reason);
      else this.addEventListener('abort', () => controller.abort(this.#reason));
      this.#abortSignal = controller.signal;
    }
    return this.#abortSignal;
  }
}

function tell(listener: Listener | undefined): void {
  if (typeof listener === 'function') listener();
  else listener?.handleEvent();
}

/** The AbortSignal that says what `signal` says. */
export function abortSignalOf(signal: StopSignal): AbortSignal {
  if (signal instanceof AbortSignal) return signal;
  if (signal instanceof Stop) return signal.abortSignal;
  throw new TypeError('a signal of an unknown kind');
}
