import type { Clock } from '../../util/clock.ts';

/**
 * Streams that a client resets before they have a response, and PING and SETTINGS frames: a browser that leaves a page
 * resets some dozens at once, and clients that measure a path ping for every few reads. An attacker needs thousands
 * (CVE-2023-44487, CVE-2019-9512, CVE-2019-9515).
 */
const BURST = 400;
const PER_SECOND = 40;

/** What a client may ask for that costs this side work and brings it nothing. */
export class FloodGuard {
  readonly #clock: Clock;
  #left = BURST;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.now();
  }

  /** Counts one; false: it was one too many. */
  allows(): boolean {
    const nowMs = this.#clock.now();
    this.#left = Math.min(BURST, this.#left + ((nowMs - this.#atMs) / 1_000) * PER_SECOND);
    this.#atMs = nowMs;
    this.#left -= 1;
    return this.#left >= 0;
  }
}
