import type { NoticeLevel, Observe } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';

/** Several workers send the same notice at about the same time; after this it is reported again. */
const REPEAT_MS = 10_000;
/** Texts that are remembered; beyond this the oldest may be reported twice. */
const TEXTS_MAX = 256;

interface Reported {
  readonly sinceMs: number;
  /** How often it was reported. */
  times: number;
  /** How often each worker has sent it. */
  readonly bySource: Map<number, number>;
}

/**
 * Reports the notices of workers, each once for all of them: what one worker says for the second time is reported for the
 * second time, what two say once each is reported once.
 */
export class NoticeDeduplicator {
  readonly #clock: Clock;
  readonly #observe: Observe;
  readonly #reported = new Map<string, Reported>();

  constructor(clock: Clock, observe: Observe) {
    this.#clock = clock;
    this.#observe = observe;
  }

  /** `source` is the number of a worker; 0 is the primary itself. */
  report(level: NoticeLevel, message: string, source = 0, id?: string): void {
    // Steps of requests, and what one request has met: no other worker says the same.
    if (level !== 'debug' && id === undefined && !this.#isNew(message, source)) return;
    this.#observe({ type: 'notice', level, message, ...(id !== undefined && { id }) });
  }

  #isNew(message: string, source: number): boolean {
    const nowMs = this.#clock.now();
    const known = this.#reported.get(message);
    if (known !== undefined && nowMs - known.sinceMs < REPEAT_MS) {
      const sent = (known.bySource.get(source) ?? 0) + 1;
      known.bySource.set(source, sent);
      if (sent <= known.times) return false;
      known.times = sent;
      return true;
    }
    this.#reported.delete(message);
    this.#reported.set(message, { sinceMs: nowMs, times: 1, bySource: new Map([[source, 1]]) });
    const [oldest] = this.#reported.keys();
    if (this.#reported.size > TEXTS_MAX && oldest !== undefined) this.#reported.delete(oldest);
    return true;
  }
}
