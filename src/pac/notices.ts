import type { Observe } from '../contracts/event.ts';
import type { PacCall } from '../contracts/stages.ts';
import type { Clock } from '../util/clock.ts';

/** A failure repeats with every request; one line a minute is read, a thousand are not. */
const AGAIN_MS = 60_000;
/** Texts that are remembered to find repetitions. A script can make any number of them. */
const TEXTS_MAX = 200;
/** Lines of `alert` in a minute. */
const ALERTS_MAX = 30;
const ALERT_CHARACTERS_MAX = 500;
/** Failures that are logged in a minute: a script may throw another text for every request. */
const FAILURES_MAX = 10;

/** Logs failures and alerts of the PAC without repeating the same text for every request. */
export class PacNotices {
  readonly #clock: Clock;
  readonly #observe: Observe;
  readonly #reported = new Map<string, number>();
  readonly #failures = new MinuteLimit(FAILURES_MAX);
  readonly #alerts = new MinuteLimit(ALERTS_MAX);
  /** Alerts that were logged: how often each was repeated since, and when that count is logged. */
  readonly #repeated = new Map<string, { more: number; untilMs: number }>();
  #countMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, observe: Observe) {
    this.#clock = clock;
    this.#observe = observe;
  }

  /** Logs `message` unless the same `failure` was logged in the last minute. */
  failure(failure: string, message: string): void {
    const nowMs = this.#clock.now();
    const untilMs = this.#reported.get(failure);
    if (untilMs !== undefined && untilMs > nowMs) return;
    const left = this.#failures.take(nowMs);
    if (left < 0) return;
    if (this.#reported.size >= TEXTS_MAX) this.#reported.clear();
    this.#reported.set(failure, nowMs + AGAIN_MS);
    this.#observe({ type: 'notice', level: 'warn', message });
    if (left > 0) return;
    const omission = 'the PAC fails in many ways; further failures in this minute are not logged';
    this.#observe({ type: 'notice', level: 'warn', message: omission });
  }

  /** Logs the alerts of one evaluation: each text once, and once a minute how often it was repeated. */
  alerts(calls: readonly PacCall[]): void {
    const nowMs = this.#clock.now();
    if (nowMs >= this.#countMs) this.#reportCounts(nowMs);
    if (!calls.some(({ helper }) => helper === 'alert')) return;
    const times = new Map<string, number>();
    for (const { helper, args } of calls) {
      if (helper !== 'alert') continue;
      const text = cut(String(args[0]));
      times.set(text, (times.get(text) ?? 0) + 1);
    }
    for (const [text, count] of times) this.#alert(text, count, nowMs);
  }

  #alert(text: string, count: number, nowMs: number): void {
    const known = this.#repeated.get(text);
    if (known !== undefined) {
      known.more += count;
      return;
    }
    const left = this.#alerts.take(nowMs);
    if (left < 0) return;
    const untilMs = nowMs + AGAIN_MS;
    if (this.#repeated.size >= TEXTS_MAX) this.#repeated.clear();
    this.#repeated.set(text, { more: 0, untilMs });
    this.#countMs = Math.min(this.#countMs, untilMs);
    this.#report(count === 1 ? text : `${text} (${count} times)`);
    if (left > 0) return;
    const message = 'the PAC script calls alert too often; further alerts in this minute are not logged';
    this.#observe({ type: 'notice', level: 'info', message });
  }

  /** Logs the counts that are due. A text that was not repeated is dropped, and logged again the next time. */
  #reportCounts(nowMs: number): void {
    this.#countMs = Number.POSITIVE_INFINITY;
    for (const [text, entry] of this.#repeated) {
      if (entry.untilMs <= nowMs) {
        if (entry.more === 0) this.#repeated.delete(text);
        else this.#report(`${text} (${entry.more} more ${entry.more === 1 ? 'time' : 'times'})`);
        entry.more = 0;
        entry.untilMs = nowMs + AGAIN_MS;
      }
      if (this.#repeated.has(text)) this.#countMs = Math.min(this.#countMs, entry.untilMs);
    }
  }

  #report(text: string): void {
    this.#observe({ type: 'notice', level: 'info', message: `the PAC script alerts: ${text}` });
  }
}

const cut = (text: string): string =>
  text.length > ALERT_CHARACTERS_MAX ? `${text.slice(0, ALERT_CHARACTERS_MAX)}…` : text;

/** At most so many in a minute, which begins with the first. */
class MinuteLimit {
  readonly #max: number;
  #taken = 0;
  #untilMs = Number.NEGATIVE_INFINITY;

  constructor(max: number) {
    this.#max = max;
  }

  /** How many are left after this one; negative: this one exceeds the limit. */
  take(nowMs: number): number {
    if (nowMs >= this.#untilMs) {
      this.#taken = 0;
      this.#untilMs = nowMs + AGAIN_MS;
    }
    this.#taken++;
    return this.#max - this.#taken;
  }
}
