import { ProxyError } from '../../contracts/failure.ts';
import type { Clock } from '../../util/clock.ts';

/** For settings, name servers and the script together: about as long as a user waits without wondering. */
export const ATTEMPT_MS_MAX = 3_000;

/** One attempt to read the PAC. */
export interface Attempt {
  /** Aborts when the time is over, or another attempt has replaced this one. */
  readonly signal: AbortSignal;
  /** `false` once the attempt has finished or was replaced: then its result no longer counts. */
  isCurrent(): boolean;
  /** Ends the time limit; the attempt has its result. */
  finish(): void;
}

/** Runs attempts one at a time: a new one replaces the one before. */
export class Attempts implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #run: (attempt: Attempt) => Promise<void>;
  #current: { readonly abort: AbortController; readonly limit: Disposable } | undefined;
  /** Resolves when all attempts have ended, those that were replaced included. */
  #running: Promise<void> = Promise.resolve();
  #next: Disposable | undefined;

  /** `run` must not reject. */
  constructor(clock: Clock, run: (attempt: Attempt) => Promise<void>) {
    this.#clock = clock;
    this.#run = run;
  }

  begin(): void {
    this.#stop();
    const abort = new AbortController();
    const limit = this.#clock.after(ATTEMPT_MS_MAX, () =>
      abort.abort(new ProxyError('connect_timeout', `no answer within ${ATTEMPT_MS_MAX / 1000} seconds`)),
    );
    const current = { abort, limit };
    this.#current = current;
    const isCurrent = () => this.#current === current;
    const finish = () => {
      if (isCurrent()) this.#finish();
    };
    const attempt = this.#run({ signal: abort.signal, isCurrent, finish });
    const before = this.#running;
    // Not Promise.all: its value would keep those of all attempts that ever were.
    this.#running = attempt.then(() => before);
  }

  /** Calls `task`, which is to begin the next attempt, unless another has begun before. */
  schedule(delayMs: number, task: () => void): void {
    this.#next = this.#clock.after(delayMs, task);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    await this.#running;
  }

  #stop(): void {
    this.#next?.[Symbol.dispose]();
    this.#next = undefined;
    const before = this.#current;
    this.#finish();
    before?.abort.abort(new Error('another attempt has begun'));
  }

  #finish(): void {
    this.#current?.limit[Symbol.dispose]();
    this.#current = undefined;
  }
}
