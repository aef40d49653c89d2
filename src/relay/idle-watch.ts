import type { Clock } from '../core/clock.ts';
import { type Listed, Roster } from '../core/roster.ts';

/** Something that must not be silent for too long. */
export interface Watched extends Listed {
  /** Allowed silence in milliseconds, read at every look, so that it may change. 0 allows any. */
  readonly limitMs: number;
  /** Whether anything happened since the last look; asking clears it. */
  wasTouched(): boolean;
  expired(): void;
  /** The watch's own. */
  silentSinceMs: number;
}

/** Looks are at least this far apart: an expiry may be late by as much. */
const LOOK_MS_MIN = 20;
/** And at most this far, so that a limit that shrinks is noticed. */
const LOOK_MS_MAX = 5_000;
/** A silence is measured from look to look: an eighth of the limit keeps the error below that. */
const LOOKS_PER_LIMIT = 8;

/**
 * One timer for everything that must not be silent: 10,000 tunnels then cost one look each now and then, where a timer
 * of their own would be touched at every read.
 */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #watched = new Roster<Watched>();
  #timer: { readonly dueMs: number; readonly handle: Disposable } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#watched.size;
  }

  /** Watches until told to stop. `expired` is called once, and the watching is over then. */
  watch(watched: Watched): void {
    const now = this.#clock.now();
    watched.silentSinceMs = now;
    if (!this.#watched.has(watched)) this.#watched.add(watched);
    this.#lookWithin(watched.limitMs, now);
  }

  unwatch(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size === 0) this.#stop();
  }

  /** To be called when a limit became shorter than it was. */
  lookSooner(watched: Watched): void {
    this.#lookWithin(watched.limitMs, this.#clock.now());
  }

  #lookWithin(limitMs: number, now: number): void {
    const delayMs =
      limitMs === 0 ? LOOK_MS_MAX : Math.min(Math.max(limitMs / LOOKS_PER_LIMIT, LOOK_MS_MIN), LOOK_MS_MAX);
    if (this.#timer !== undefined && this.#timer.dueMs <= now + delayMs) return;
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = { dueMs: now + delayMs, handle: this.#clock.after(delayMs, () => this.#look()) };
  }

  #look(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const watched of this.#watched) {
      const { limitMs } = watched;
      if (watched.wasTouched()) watched.silentSinceMs = now;
      else if (limitMs > 0 && now - watched.silentSinceMs >= limitMs) {
        this.#watched.delete(watched);
        watched.expired();
        continue;
      }
      if (limitMs > 0 && limitMs < shortestMs) shortestMs = limitMs;
    }
    if (this.#watched.size > 0) this.#lookWithin(Number.isFinite(shortestMs) ? shortestMs : 0, now);
  }

  #stop(): void {
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = undefined;
  }
}
