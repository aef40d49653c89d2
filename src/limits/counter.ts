import type { Clock } from '../core/clock.ts';
import type { Allowance } from './flow.ts';

/** What a counter is made of again after a restart. */
export interface Kept {
  /** Wall-clock time at which the period began. */
  readonly sinceMs: number;
  readonly used: bigint;
}

/** Bytes by quota and by key, as they are kept across restarts. */
export type KeptQuotas = ReadonlyMap<string, ReadonlyMap<string, Kept>>;

interface Period {
  readonly bytes: number;
  /** Milliseconds. */
  readonly every: number;
}

/** What is counted in a double before it is added to the sum: far below 2^53, where a double loses single bytes. */
const PORTION_MAX = 2 ** 48;

/** Bytes used in a period, exactly, however many they are. */
export class Counter implements Allowance {
  readonly #clock: Clock;
  readonly #changed: () => void;
  #max: bigint;
  #everyMs: number;
  #sinceMs: number;
  /** When the wall clock was first seen before the period began, on the clock that never goes back. */
  #behindFromMs: number | undefined;
  /** Used before the present portion, used of it, and left of it. */
  #sum: bigint;
  #used = 0;
  #portion = 0;

  constructor(clock: Clock, period: Period, changed: () => void, kept?: Kept) {
    this.#clock = clock;
    this.#changed = changed;
    this.#max = BigInt(period.bytes);
    this.#everyMs = period.every;
    this.#sinceMs = kept?.sinceMs ?? clock.wallMs();
    this.#sum = kept?.used ?? 0n;
    this.#open();
  }

  /** Follows a quota that was changed; what was used stays used. */
  adopt(period: Period): void {
    this.#max = BigInt(period.bytes);
    this.#everyMs = period.every;
    this.#open();
  }

  left(): number {
    this.#roll();
    if (this.#portion <= 0) this.#open();
    return this.#portion;
  }

  use(bytes: number): void {
    this.#roll();
    this.#used += bytes;
    this.#portion -= bytes;
    this.#changed();
  }

  giveBack(bytes: number): void {
    // What was taken before the period ended belongs to the one before.
    const returned = Math.min(bytes, Number(this.used()));
    this.#used -= returned;
    this.#portion += returned;
    this.#changed();
  }

  used(): bigint {
    return this.#sum + BigInt(this.#used);
  }

  kept(): Kept {
    return { sinceMs: this.#sinceMs, used: this.used() };
  }

  resetsAtMs(): number {
    return this.#sinceMs + this.#everyMs;
  }

  /** Milliseconds until the period ends. */
  waitMs(): number {
    const sinceMs = this.#behindFromMs;
    if (sinceMs === undefined) return this.resetsAtMs() - this.#clock.wallMs();
    return sinceMs + this.#everyMs - this.#clock.now();
  }

  /** Whether the period has ended, or has not seen a byte: then nothing is lost with this counter. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.resetsAtMs() || this.#isUnused();
  }

  #isUnused(): boolean {
    return this.#used === 0 && this.#sum === 0n;
  }

  /**
   * A wall clock before the period began is wrong now (1970 until NTP answers) or was wrong then. Were the beginning
   * moved there, the jump to the right time would end the period; were that time waited for, it could take decades. So
   * the beginning stays, and the period ends a whole one later on the clock that never goes back.
   */
  #roll(): void {
    const nowMs = this.#clock.wallMs();
    if (nowMs >= this.#sinceMs || this.#isUnused()) this.#behindFromMs = undefined;
    else this.#behindFromMs ??= this.#clock.now();
    if (this.waitMs() <= 0) {
      this.#sum = 0n;
      this.#used = 0;
      this.#open();
      this.#sinceMs = nowMs;
      this.#behindFromMs = undefined;
    } else if (this.#isUnused()) {
      this.#sinceMs = nowMs;
    }
  }

  /** Opens the next portion of what is left. */
  #open(): void {
    this.#sum += BigInt(this.#used);
    this.#used = 0;
    const left = this.#max - this.#sum;
    this.#portion = left <= 0n ? 0 : Math.min(PORTION_MAX, Number(left));
  }
}
