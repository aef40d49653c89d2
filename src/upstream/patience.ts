import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { StopSignal } from '../core/stop.ts';

type GiveUp = (reason: unknown) => void;

/**
 * The wait for an answer: without a limit while the request is still being sent, bounded from then on. One
 * waits at a time, so that this does for a small request what a signal of its own would, at a tenth of the cost.
 */
export class Patience implements Disposable {
  readonly #parent: StopSignal;
  readonly #headMs: number;
  readonly #silent: FailureCode;
  #timer: NodeJS.Timeout | undefined;
  #waiting: GiveUp | undefined;
  #reason: unknown;
  #isOver = false;

  /** Ends with the parent's reason, or with `silent` `headMs` after `begin`. */
  constructor(parent: StopSignal, headMs: number, silent: FailureCode = 'origin_silent') {
    this.#parent = parent;
    this.#headMs = headMs;
    this.#silent = silent;
    if (parent.aborted) this.#reason = parent.reason;
    else parent.addEventListener('abort', this.#follow);
  }

  /** Calls back when the wait is over for nothing, at once if it is already; `undefined` when nobody waits any more. */
  hear(giveUp: GiveUp | undefined): void {
    this.#waiting = giveUp;
    if (giveUp !== undefined && this.#reason !== undefined) giveUp(this.#reason);
  }

  /** The request is out: the time begins. */
  begin(): void {
    if (this.#isOver) return;
    this.#timer ??= setTimeout(
      () => this.giveUp(new ProxyError(this.#silent, `no answer after ${this.#headMs} ms`)),
      this.#headMs,
    );
  }

  /** The request goes on: the time stops. */
  pause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  giveUp(reason: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#waiting?.(reason);
  }

  readonly #follow = (): void => this.giveUp(this.#parent.reason);

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#waiting = undefined;
    clearTimeout(this.#timer);
    this.#parent.removeEventListener('abort', this.#follow);
  }
}
