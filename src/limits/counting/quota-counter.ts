import type { Clock } from '../../util/clock.ts';
import type { QuotaBudget } from '../quota-budget.ts';

/** A counter as it is kept across restarts. */
export interface SavedUsage {
  /** Wall-clock time at which the period began. */
  readonly sinceMs: number;
  readonly used: bigint;
}

/** Counters by quota and key, as they are kept across restarts. */
export type SavedQuotas = ReadonlyMap<string, ReadonlyMap<string, SavedUsage>>;

interface Period {
  readonly bytes: number;
  /** Milliseconds. */
  readonly every: number;
}

/** Bytes that are counted in a double before they are added to the sum: far below 2^53, where it loses single bytes. */
const SLICE_BYTES_MAX = 2 ** 48;

/** Bytes used in a period, exactly, however many they are. */
export class QuotaCounter implements QuotaBudget {
  readonly #clock: Clock;
  readonly #onChanged: () => void;
  #max: bigint;
  #everyMs: number;
  #sinceMs: number;
  /** When the wall clock was first seen at a time before the period began, on the monotonic clock. */
  #behindFromMs: number | undefined;
  /** Used before the present slice, used of it, and left of it. */
  #sum: bigint;
  #used = 0;
  #slice = 0;

  constructor(clock: Clock, period: Period, onChanged: () => void, kept?: SavedUsage) {
    this.#clock = clock;
    this.#onChanged = onChanged;
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
    if (this.#slice <= 0) this.#open();
    return this.#slice;
  }

  use(bytes: number): void {
    this.#roll();
    this.#used += bytes;
    this.#slice -= bytes;
    this.#onChanged();
  }

  refund(bytes: number): void {
    // Bytes taken before the period ended were counted in the previous one.
    const returned = Math.min(bytes, Number(this.used()));
    this.#used -= returned;
    this.#slice += returned;
    this.#onChanged();
  }

  used(): bigint {
    return this.#sum + BigInt(this.#used);
  }

  snapshot(): SavedUsage {
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

  /** Whether the period has ended, or has counted no byte: then nothing is lost with this counter. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.resetsAtMs() || this.#isUnused();
  }

  #isUnused(): boolean {
    return this.#used === 0 && this.#sum === 0n;
  }

  /**
   * When the wall clock is before the beginning of the period, it is wrong now (1970 until NTP sets it) or was wrong
   * then. If the beginning moved to the present, setting the clock right would end the period; if it stayed and the wall
   * clock decided, the period could last decades. So the beginning stays, and the period ends one whole period after the
   * clock was seen to be wrong, on the monotonic clock.
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

  /** Begins the next slice of what is left. */
  #open(): void {
    this.#sum += BigInt(this.#used);
    this.#used = 0;
    const left = this.#max - this.#sum;
    this.#slice = left <= 0n ? 0 : Math.min(SLICE_BYTES_MAX, Number(left));
  }
}
