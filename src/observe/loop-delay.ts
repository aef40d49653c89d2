import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '../util/clock.ts';

/** How often the loop is looked at while its delay is read. */
const RESOLUTION_MS = 20;
/** Without a reader for so long the look ends, and costs nothing. */
const UNREAD_MS = 90_000;

export interface LoopDelays {
  readonly meanMs: number;
  readonly maxMs: number;
}

/** What is measured is the time between two looks. */
const lateMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);

/** How late the event loop is. Measured only while it is read. */
export class LoopDelay implements Disposable {
  readonly #clock: Clock;
  #histogram: ReturnType<typeof monitorEventLoopDelay> | undefined;
  #end: Disposable | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The mean delay since the last call, in milliseconds; 0 at the first. */
  readMs(): number {
    return this.read().meanMs;
  }

  /** The delay since the last call; 0 at the first. */
  read(): LoopDelays {
    this.#end?.[Symbol.dispose]();
    this.#end = this.#clock.after(UNREAD_MS, () => this[Symbol.dispose]());
    if (this.#histogram === undefined) {
      this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.#histogram.enable();
      return { meanMs: 0, maxMs: 0 };
    }
    // It counts from one look to the next.
    const { mean, max, count } = this.#histogram;
    this.#histogram.reset();
    return count === 0 ? { meanMs: 0, maxMs: 0 } : { meanMs: lateMs(mean), maxMs: lateMs(max) };
  }

  [Symbol.dispose](): void {
    this.#end?.[Symbol.dispose]();
    this.#histogram?.disable();
    this.#histogram = undefined;
  }
}
