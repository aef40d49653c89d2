import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';

/** Wrong passwords without a pause: a person mistypes a few times, and a browser loads a page in several requests. */
export const FREE_FAILURES = 8;
/** Each further one makes the next wait this much longer. */
const STEP_MS = 100;
/** With `LINE_WAITING_MAX` attempts in front, the last one starts well within the minute that a decision may take. */
const REST_MS_MAX = 5_000;
/** After this long without a wrong password the count is forgotten. */
const FORGOTTEN_MS = 10 * 60_000;
/** Of more keys the one that failed longest ago is forgotten: its next failures cost nothing again. */
const KEYS_MAX = 4096;

interface FailureCount {
  readonly count: number;
  readonly lastMs: number;
}

/** How often attempts of a key have failed, and how long its next one has to wait. */
export class Failures {
  readonly #clock: Clock;
  readonly #counts = new LruMap<string, FailureCount>(KEYS_MAX);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** 0: an attempt may be made now. */
  restMs(key: string): number {
    const failed = this.#counts.peek(key);
    if (failed === undefined) return 0;
    const sinceMs = this.#clock.now() - failed.lastMs;
    return Math.max(0, Math.min((failed.count - FREE_FAILURES) * STEP_MS, REST_MS_MAX) - sinceMs);
  }

  recordFailure(key: string): void {
    const now = this.#clock.now();
    const before = this.#counts.peek(key);
    const isRecent = before !== undefined && now - before.lastMs < FORGOTTEN_MS;
    this.#counts.set(key, { count: isRecent ? before.count + 1 : 1, lastMs: now });
  }

  recordSuccess(key: string): void {
    this.#counts.delete(key);
  }
}
