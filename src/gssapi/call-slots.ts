import type { Clock } from '../util/clock.ts';

/**
 * Calls into a library that may hang, and cannot be stopped. They take threads of Node's pool, which has four, and name
 * lookups and files need the others.
 */
export const CALLS_MAX = 2;
/** A burst of requests that each need a token of their own; one takes a millisecond when nothing hangs. */
export const WAITING_MAX = 1_000;
/** For a call and the wait before it. A KDC answers within a second, or krb5 goes on to the next one. */
export const CALL_MS = 10_000;

/** Why nothing was called, or why its result is not waited for any more. */
export type CallFailure = 'full' | 'stuck' | 'late';

export class CallSlots {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #running = 0;
  /** Running calls whose callers have given up. */
  #overdue = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Runs `call` when there is a slot. A call that takes too long goes on by itself: its result goes to `abandoned`. While
   * all slots hang, no caller waits for one.
   */
  run<T>(call: () => Promise<T>, abandoned: (result: T) => void): Promise<T | CallFailure> {
    if (this.#overdue >= CALLS_MAX) return Promise.resolve('stuck');
    if (this.#running >= CALLS_MAX && this.#waiting.size >= WAITING_MAX) return Promise.resolve('full');
    return new Promise((resolve, reject) => {
      let at: 'waiting' | 'running' | 'given up' = 'waiting';
      const begin = (): void => {
        at = 'running';
        this.#running++;
        call().then(
          (result) => {
            if (end()) resolve(result);
            else abandoned(result);
          },
          (error: unknown) => {
            if (end()) reject(error);
          },
        );
      };
      const timer = this.#clock.after(CALL_MS, () => {
        if (at === 'running') this.#overdue++;
        else this.#waiting.delete(begin);
        at = 'given up';
        resolve('late');
      });
      /** Whether the caller still waits. */
      const end = (): boolean => {
        const isAwaited = at === 'running';
        if (!isAwaited) this.#overdue--;
        timer[Symbol.dispose]();
        this.#running--;
        const [next] = this.#waiting;
        if (next !== undefined) {
          this.#waiting.delete(next);
          next();
        }
        return isAwaited;
      };
      if (this.#running < CALLS_MAX) begin();
      else this.#waiting.add(begin);
    });
  }
}
