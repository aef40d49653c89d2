import type { Clock } from '../core/clock.ts';
import type { Observe } from '../core/contracts.ts';
import type { Level } from './crew-member.ts';

/** Several workers find out the same at about the same time; after this it is news again. */
const REPEAT_MS = 10_000;
/** Texts that are remembered; beyond it the oldest may be told twice. */
const TEXTS_MAX = 256;

/** Tells what workers have to say, once for all of them. */
export class NoticeBoard {
  readonly #clock: Clock;
  readonly #observe: Observe;
  readonly #toldMs = new Map<string, number>();

  constructor(clock: Clock, observe: Observe) {
    this.#clock = clock;
    this.#observe = observe;
  }

  post(level: Level, message: string): void {
    const nowMs = this.#clock.now();
    const toldMs = this.#toldMs.get(message);
    if (toldMs !== undefined && nowMs - toldMs < REPEAT_MS) return;
    this.#toldMs.delete(message);
    this.#toldMs.set(message, nowMs);
    const [oldest] = this.#toldMs.keys();
    if (this.#toldMs.size > TEXTS_MAX && oldest !== undefined) this.#toldMs.delete(oldest);
    this.#observe({ type: 'notice', level, message });
  }
}
