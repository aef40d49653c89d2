import { ProxyError } from '../contracts/failure.ts';
import type { Clock } from '../util/clock.ts';

/**
 * The time that all rounds of 407 in one request share: a proxy that asks again and again, each time a little before the
 * limit, would otherwise hold the request for many times as long.
 */
export class RoundDeadline {
  readonly #clock: Clock;
  #startedMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is left of `limitMs`, which starts with the first call. Throws `upstream_timeout` when nothing is left. */
  remainingMs(limitMs: number): number {
    const nowMs = this.#clock.now();
    this.#startedMs ??= nowMs;
    // In this order a sum is never rounded to more than the longest wait that a timer can hold.
    const leftMs = limitMs - (nowMs - this.#startedMs);
    if (leftMs <= 0) throw new ProxyError('upstream_timeout', `it still asks for authentication after ${limitMs} ms`);
    return leftMs;
  }
}
