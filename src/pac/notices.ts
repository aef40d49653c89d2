import type { Clock } from '../core/clock.ts';
import type { Observe } from '../core/contracts.ts';

/** One trouble comes with every request; a line a minute is read, a thousand are not. */
const AGAIN_MS = 60_000;
/** Texts that are remembered. A script can make any number of them. */
const TEXTS_MAX = 200;
/** Lines that scripts may write a minute. */
const ALERTS_MAX = 30;
const ALERT_CHARACTERS_MAX = 500;

/** What the operator should know of the PAC, without being told the same all the time. */
export class PacNotices {
  readonly #clock: Clock;
  readonly #observe: Observe;
  readonly #said = new Map<string, number>();
  #alerts = 0;
  #alertsUntilMs = 0;

  constructor(clock: Clock, observe: Observe) {
    this.#clock = clock;
    this.#observe = observe;
  }

  /** Once a minute for each `trouble`, in the words of its first occasion. */
  trouble(trouble: string, message: string): void {
    const nowMs = this.#clock.now();
    const untilMs = this.#said.get(trouble);
    if (untilMs !== undefined && untilMs > nowMs) return;
    if (this.#said.size >= TEXTS_MAX) this.#said.clear();
    this.#said.set(trouble, nowMs + AGAIN_MS);
    this.#observe({ type: 'notice', level: 'warn', message });
  }

  alert(text: string): void {
    const nowMs = this.#clock.now();
    if (nowMs >= this.#alertsUntilMs) {
      this.#alerts = 0;
      this.#alertsUntilMs = nowMs + AGAIN_MS;
    }
    this.#alerts++;
    if (this.#alerts > ALERTS_MAX) return;
    const shown = text.length > ALERT_CHARACTERS_MAX ? `${text.slice(0, ALERT_CHARACTERS_MAX)}…` : text;
    this.#observe({ type: 'notice', level: 'info', message: `the PAC script says: ${shown}` });
    if (this.#alerts < ALERTS_MAX) return;
    const message = 'the PAC script says more than is told; what it says in the rest of this minute is left out';
    this.#observe({ type: 'notice', level: 'info', message });
  }
}
