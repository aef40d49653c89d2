import type { Clock } from '../util/clock.ts';

/** A burst is one line. */
const FIRST_MS = 1_000;
/** While more are rejected, reported this often: an attack must not fill the log. */
const AGAIN_MS = 10_000;

/** Counts connections that find no place, and reports how many they were: all of them, many in one line. */
export class RejectionCounter implements Disposable {
  readonly #clock: Clock;
  readonly #log: (message: string) => void;
  #count = 0;
  #why = '';
  #timer: Disposable | undefined;

  constructor(clock: Clock, log: (message: string) => void) {
    this.#clock = clock;
    this.#log = log;
  }

  /** One line has the reason of the last connection that it counts. */
  add(why: string): void {
    this.#count += 1;
    this.#why = why;
    this.#timer ??= this.#clock.after(FIRST_MS, () => this.#reportAndWait());
  }

  /** Reports what has not been reported yet, and ends the wait. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#report();
  }

  #reportAndWait(): void {
    this.#timer = undefined;
    if (this.#count === 0) return;
    this.#report();
    this.#timer = this.#clock.after(AGAIN_MS, () => this.#reportAndWait());
  }

  #report(): void {
    const count = this.#count;
    this.#count = 0;
    if (count > 0) this.#log(`${count} ${count === 1 ? 'connection' : 'connections'} turned away: ${this.#why}`);
  }
}
