import type { Clock } from '../../util/clock.ts';
import type { QuotaCounter } from '../counting/quota-counter.ts';
import { QUANTUM_BYTES_MIN } from '../shaping/bucket.ts';
import { type FillRate, TokenBucket } from '../token-bucket.ts';

/** Claimants of a rate are served this often: each time is a message to every process that waits. */
export const SERVE_EVERY_MS = 10;
/** A smaller grant of a quota is less than one read of a relay, which would wait for the rest. */
const GRANT_BYTES_MIN = 64 * 1024;
/** One grant is at most this part of an equal share of what is left, so that little has to be recalled near the end. */
const GRANT_SHARES = 2;

/** Where the bytes come from that an allocator grants: a rate refills by itself, a quota is finite. */
export type Supply = RateSupply | QuotaSupply;
export type DemandKind = 'normal' | 'background';

/** Bytes at a rate. */
export class RateSupply {
  readonly kind = 'refilling';
  readonly #bucket: TokenBucket;
  readonly #clock: Clock;

  constructor(rate: FillRate, clock: Clock) {
    this.#bucket = new TokenBucket(rate, clock.now());
    this.#clock = clock;
  }

  setRate(rate: FillRate): void {
    this.#bucket.setRate(rate, this.#clock.now());
  }

  get isFull(): boolean {
    return this.#bucket.isFull(this.#clock.now());
  }

  /** Adds what has come since the last time, while `waiting` processes waited. */
  fill(waiting: number): void {
    this.#bucket.fill(this.#clock.now(), waiting);
  }

  /** Bytes that may be granted to those that want `wanted`; 0: too few for a message. */
  grantable(kind: DemandKind, wanted: number): number {
    const { perMs, burst, capacityMax } = this.#bucket.rate;
    // Background leaves half the burst, so that other traffic finds it there.
    const reserve = kind === 'background' ? burst / 2 : 0;
    const bytes = Math.floor(this.#bucket.level - reserve);
    const worthwhile = Math.max(QUANTUM_BYTES_MIN, (perMs * SERVE_EVERY_MS) / 2);
    return bytes < Math.min(wanted, worthwhile, Math.floor(capacityMax - reserve)) ? 0 : bytes;
  }

  grantMax(): number {
    return Number.POSITIVE_INFINITY;
  }

  take(bytes: number): void {
    this.#bucket.take(bytes);
  }

  refund(bytes: number): void {
    this.#bucket.refund(bytes, this.#clock.now());
  }
}

/** What is left of a quota in its period. */
export class QuotaSupply {
  readonly kind = 'finite';
  readonly #counter: QuotaCounter;

  constructor(counter: QuotaCounter) {
    this.#counter = counter;
  }

  fill(): void {}

  grantable(): number {
    return this.#counter.left();
  }

  grantMax(claimants: number): number {
    return Math.max(GRANT_BYTES_MIN, Math.ceil(this.#counter.left() / (GRANT_SHARES * claimants)));
  }

  /** Whether each of so many claimants would get too little to go on. */
  isTooLittleFor(claimants: number): boolean {
    return this.#counter.left() < GRANT_BYTES_MIN * claimants;
  }

  /** Milliseconds until the period ends. */
  resetsInMs(): number {
    return this.#counter.waitMs();
  }

  take(bytes: number): void {
    this.#counter.use(bytes);
  }

  refund(bytes: number): void {
    this.#counter.refund(bytes);
  }
}
