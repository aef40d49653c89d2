/** What the rate gives in this time may pass at once after a pause, unless `burst` says otherwise. */
const BURST_MS = 200;
/**
 * While takers wait, a bucket fills for up to this long. Timers come a millisecond late, and tens of them when the
 * process is busy; a bucket that stopped filling at a small `burst` would lose what the rate allowed meanwhile. It is 1 %
 * of the 10 s over which a rate is held, and takers that come after a pause find none of it.
 */
const LATE_MS = 100;
/** Takers count as waiting until this long after the last wait: one that got its tokens is about to take again. */
const RETURN_MS = 20;
/** Rounding of doubles: a bucket is full when this part of it is missing. */
const ROUNDING = 1e-9;

/** How fast buckets fill, and how much they hold. The buckets of one limit share it. */
export class FillRate {
  /** Tokens (bytes or requests) per second, and per millisecond. */
  readonly rate: number;
  readonly perMs: number;
  /** Tokens that may be taken at once after a pause. */
  readonly burst: number;
  /** Tokens that a bucket holds while takers wait. */
  readonly capacityMax: number;

  constructor(rate: number, burst?: number) {
    this.rate = rate;
    this.perMs = rate / 1000;
    this.burst = Math.max(1, burst ?? this.perMs * BURST_MS);
    this.capacityMax = Math.max(this.burst, this.perMs * LATE_MS);
  }
}

/** Tokens that come at a rate and are kept up to a bound. It begins full. Tokens are never lent: a taker waits for them. */
export class TokenBucket {
  #rate: FillRate;
  #level: number;
  #filledMs: number;
  #waitedMs = Number.NEGATIVE_INFINITY;

  constructor(rate: FillRate, nowMs: number) {
    this.#rate = rate;
    this.#level = rate.burst;
    this.#filledMs = nowMs;
  }

  get rate(): FillRate {
    return this.#rate;
  }

  get level(): number {
    return this.#level;
  }

  /** Takes the rate of a limit that was changed; what is in the bucket stays, as far as the bucket still holds it. */
  setRate(rate: FillRate, nowMs: number): void {
    if (rate === this.#rate) return;
    this.fill(nowMs);
    this.#rate = rate;
    this.#level = Math.min(this.#level, this.#capacity(nowMs));
  }

  /** Adds what the rate has given since the last time, while `waiting` takers waited. */
  fill(nowMs: number, waiting = 0): void {
    if (waiting > 0) this.#waitedMs = nowMs;
    const passedMs = nowMs - this.#filledMs;
    if (passedMs <= 0) return;
    this.#filledMs = nowMs;
    this.#level = Math.min(this.#capacity(nowMs), this.#level + passedMs * this.#rate.perMs);
  }

  take(tokens: number): void {
    this.#level -= tokens;
  }

  refund(tokens: number, nowMs: number): void {
    this.#level = Math.min(this.#capacity(nowMs), this.#level + tokens);
  }

  /** When so many tokens will be there, on the clock. */
  readyMs(tokens: number): number {
    const missing = tokens - this.#level;
    return missing <= 0 ? this.#filledMs : this.#filledMs + missing / this.#rate.perMs;
  }

  isFull(nowMs: number): boolean {
    this.fill(nowMs);
    return this.#level >= this.#rate.burst * (1 - ROUNDING);
  }

  #capacity(nowMs: number): number {
    return nowMs - this.#waitedMs <= RETURN_MS ? this.#rate.capacityMax : this.#rate.burst;
  }
}
