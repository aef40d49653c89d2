import type { Clock } from '../util/clock.ts';
import { type SlotItem, SlotList } from '../util/slot-list.ts';

/** A tunnel or a body, in which bytes must move now and then. */
export interface IdleTarget extends SlotItem {
  /** Allowed silence in milliseconds, read at every scan, so that it may change. 0 allows any. */
  readonly limitMs: number;
  /** Whether bytes moved since the last call. */
  wasTouched(): boolean;
  expired(): void;
  /** Written by the watch alone. */
  silentSinceMs: number;
}

/** Scans are at least this far apart: an expiry may be late by as much. */
const SCAN_MS_MIN = 20;
/** And at most this far, so that a limit that shrinks is noticed. */
const SCAN_MS_MAX = 5_000;
/** A silence is measured from scan to scan: eight in a limit keep the error below an eighth of it. */
const SCANS_PER_LIMIT = 8;

/**
 * One timer for all targets: 10,000 tunnels cost a comparison each at every scan, where timers of their own would be
 * renewed at every read.
 */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #targets = new SlotList<IdleTarget>();
  #timer: { readonly dueMs: number; readonly handle: Disposable } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#targets.size;
  }

  /** Watches until `unwatch`, or until the target has expired. */
  watch(target: IdleTarget): void {
    const now = this.#clock.now();
    target.silentSinceMs = now;
    if (!this.#targets.has(target)) this.#targets.add(target);
    this.#scanWithin(target.limitMs, now);
  }

  unwatch(target: IdleTarget): void {
    this.#targets.delete(target);
    if (this.#targets.size === 0) this.#stop();
  }

  /** To be called when a limit has become shorter than it was. */
  rescheduleSooner(target: IdleTarget): void {
    this.#scanWithin(target.limitMs, this.#clock.now());
  }

  #scanWithin(limitMs: number, now: number): void {
    const delayMs =
      limitMs === 0 ? SCAN_MS_MAX : Math.min(Math.max(limitMs / SCANS_PER_LIMIT, SCAN_MS_MIN), SCAN_MS_MAX);
    if (this.#timer !== undefined && this.#timer.dueMs <= now + delayMs) return;
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = { dueMs: now + delayMs, handle: this.#clock.after(delayMs, () => this.#scan()) };
  }

  #scan(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const target of this.#targets) {
      const { limitMs } = target;
      if (target.wasTouched()) target.silentSinceMs = now;
      else if (limitMs > 0 && now - target.silentSinceMs >= limitMs) {
        this.#targets.delete(target);
        target.expired();
        continue;
      }
      if (limitMs > 0 && limitMs < shortestMs) shortestMs = limitMs;
    }
    if (this.#targets.size > 0) this.#scanWithin(Number.isFinite(shortestMs) ? shortestMs : 0, now);
  }

  #stop(): void {
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = undefined;
  }
}
