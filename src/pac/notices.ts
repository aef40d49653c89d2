import type { Clock } from '../core/clock.ts';
import type { Observe } from '../core/contracts.ts';

/** One trouble comes with every request; a line a minute is read, a thousand are not. */
const AGAIN_MS = 60_000;
/** Texts that are remembered. A script can make any number of them. */
const TEXTS_MAX = 200;
/** Lines that scripts may write a minute. */
const ALERTS_MAX = 30;
const ALERT_CHARACTERS_MAX = 500;
/** Troubles that are told a minute: a script may throw another text each time, and it is asked for every request. */
const TROUBLES_MAX = 10;

/** What the operator should know of the PAC, without being told the same all the time. */
export class PacNotices {
  readonly #clock: Clock;
  readonly #observe: Observe;
  readonly #said = new Map<string, number>();
  readonly #troubles = new Ration(TROUBLES_MAX);
  readonly #alerts = new Ration(ALERTS_MAX);

  constructor(clock: Clock, observe: Observe) {
    this.#clock = clock;
    this.#observe = observe;
  }

  /** Once a minute for each `trouble`, in the words of its first occasion. */
  trouble(trouble: string, message: string): void {
    const nowMs = this.#clock.now();
    const untilMs = this.#said.get(trouble);
    if (untilMs !== undefined && untilMs > nowMs) return;
    const left = this.#troubles.take(nowMs);
    if (left < 0) return;
    if (this.#said.size >= TEXTS_MAX) this.#said.clear();
    this.#said.set(trouble, nowMs + AGAIN_MS);
    this.#observe({ type: 'notice', level: 'warn', message });
    if (left > 0) return;
    const enough = 'the PAC fails in more ways than are told; others in the rest of this minute are left out';
    this.#observe({ type: 'notice', level: 'warn', message: enough });
  }

  alert(text: string): void {
    const left = this.#alerts.take(this.#clock.now());
    if (left < 0) return;
    const shown = text.length > ALERT_CHARACTERS_MAX ? `${text.slice(0, ALERT_CHARACTERS_MAX)}…` : text;
    this.#observe({ type: 'notice', level: 'info', message: `the PAC script says: ${shown}` });
    if (left > 0) return;
    const message = 'the PAC script says more than is told; what it says in the rest of this minute is left out';
    this.#observe({ type: 'notice', level: 'info', message });
  }
}

/** So many a minute, counted from the first. */
class Ration {
  readonly #max: number;
  #taken = 0;
  #untilMs = Number.NEGATIVE_INFINITY;

  constructor(max: number) {
    this.#max = max;
  }

  /** How many are left after this one; negative: this one is too many. */
  take(nowMs: number): number {
    if (nowMs >= this.#untilMs) {
      this.#taken = 0;
      this.#untilMs = nowMs + AGAIN_MS;
    }
    this.#taken++;
    return this.#max - this.#taken;
  }
}
