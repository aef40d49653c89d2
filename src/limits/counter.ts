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

  /** Whether the period has ended, or has not seen a byte: then nothing is lost with this counter. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.resetsAtMs() || this.#isUnused();
  }

  #isUnused(): boolean {
    return this.#used === 0 && this.#sum === 0n;
  }

  #roll(): void {
    const nowMs = this.#clock.wallMs();
    if (nowMs >= this.resetsAtMs()) {
      this.#sum = 0n;
      this.#used = 0;
      this.#open();
      this.#sinceMs = nowMs;
    } else if (this.#isUnused() || nowMs < this.#sinceMs - this.#everyMs) {
      // A clock that was wrong by more than a period when this one began: waiting for that time could take decades.
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
