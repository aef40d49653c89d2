import type { Clock } from '../util/clock.ts';
import type { Latch } from './latch-file.ts';
import type { LoginDenial } from './login-attempt.ts';

/**
 * A rejected secret is tried once more by itself after each of these, since only the domain controller may have been away;
 * then the user has to lift the latch. The same for one whose proofs get no response at all.
 */
const RETRY_MS: readonly number[] = [30 * 60_000, 60 * 60_000];
/** Statuses that a wrong password may have caused, or a target: held back so long at first, and twice as long each time. */
const HELD_MS = 15_000;
const HELD_MS_MAX = 30 * 60_000;

/** `untilMs`: when the secret is tried once more; `undefined`: when the user lifts the latch. */
type HoldState = { readonly at: 'open' } | { readonly at: 'rejected' | 'held'; readonly untilMs: number | undefined };

export interface SecretHoldDeps {
  readonly clock: Clock;
  /** As it was found at the start. */
  readonly latch: Latch | undefined;
  /** Stores a latch where it outlives the process; `undefined`: it is lifted. */
  readonly saveLatch: (latch: Latch | undefined) => void;
}

/** Whether one secret is held back from one proxy: latched after a rejection, or for a while after unclear responses. */
export class SecretHold {
  readonly #clock: Clock;
  readonly #saveLatch: SecretHoldDeps['saveLatch'];
  #state: HoldState = { at: 'open' };
  /** How often it was rejected, or held back because no proof got a response. */
  #refusals = 0;
  /** How often it was held back for a status. */
  #unclear = 0;

  constructor({ clock, latch, saveLatch }: SecretHoldDeps) {
    this.#clock = clock;
    this.#saveLatch = saveLatch;
    if (latch !== undefined) this.#take(latch);
  }

  /** Another instance has found out more than this one: what was rejected there is not tried here. */
  adopt(latch: Latch | undefined): void {
    if (latch !== undefined && latch.refusals > this.#refusals) this.#take(latch);
  }

  get isRejected(): boolean {
    return this.#state.at === 'rejected';
  }

  /** Until it is tried once more by itself; `undefined`: it is not held back, or the user must lift the latch. */
  get retryMs(): number | undefined {
    const state = this.#state;
    return state.at === 'open' || state.untilMs === undefined
      ? undefined
      : Math.max(0, state.untilMs - this.#clock.now());
  }

  /** From then on one doubt is enough, and no question goes first: a proxy may never answer one clearly. */
  get hasBeenHeld(): boolean {
    return this.#unclear > 0 || this.#refusals > 0;
  }

  denial(nowMs: number): LoginDenial | undefined {
    const state = this.#state;
    if (state.at === 'open') return undefined;
    const retryMs = state.untilMs === undefined ? undefined : state.untilMs - nowMs;
    return retryMs === undefined || retryMs > 0 ? { denied: state.at, retryMs } : undefined;
  }

  /** It was rejected, or no proof got a response: it is latched, also for the next start. */
  latch(why: 'rejected' | 'held'): void {
    const retryMs = RETRY_MS[this.#refusals];
    this.#refusals += 1;
    this.#state = { at: why, untilMs: retryMs === undefined ? undefined : this.#clock.now() + retryMs };
    const retryWallMs = retryMs === undefined ? null : this.#clock.wallMs() + retryMs;
    this.#saveLatch({ why, refusals: this.#refusals, retryWallMs });
  }

  /** Its proofs got statuses that accept and reject nothing. */
  holdForStatus(): void {
    const heldMs = Math.min(HELD_MS * 2 ** this.#unclear, HELD_MS_MAX);
    this.#unclear += 1;
    this.#state = { at: 'held', untilMs: this.#clock.now() + heldMs };
  }

  /**
   * The proxy has accepted a proof. Returns false for one that was sent before the password changed and is accepted after
   * a newer one was rejected: the latch stays.
   */
  accept(): boolean {
    if (this.isRejected && !this.#isRetried) return false;
    if (this.#refusals > 0) this.#saveLatch(undefined);
    this.#state = { at: 'open' };
    this.#refusals = 0;
    this.#unclear = 0;
    return true;
  }

  #take({ why, refusals, retryWallMs }: Latch): void {
    this.#refusals = refusals;
    const untilMs = retryWallMs === null ? undefined : this.#clock.now() + retryWallMs - this.#clock.wallMs();
    this.#state = { at: why, untilMs };
  }

  /** Its time to be tried once more has come. */
  get #isRetried(): boolean {
    const state = this.#state;
    return state.at !== 'open' && state.untilMs !== undefined && state.untilMs <= this.#clock.now();
  }
}
