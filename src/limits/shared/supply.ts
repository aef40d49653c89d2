import type { Clock } from '../../util/clock.ts';
import type { QuotaCounter } from '../counting/quota-counter.ts';
import { QUANTUM_BYTES_MIN } from '../shaping/bucket.ts';
import { type FillRate, TokenBucket } from '../token-bucket.ts';

/** Claimants of a rate are served this often: each time is a message to every process that waits. */
export const SERVE_EVERY_MS = 10;
/** A smaller grant of a quota is less than one read of a relay, which would wait for the rest. */
export const GRANT_BYTES_MIN = 64 * 1024;
/** One grant is at most this part of an equal share of what is left, so that little has to be recalled near the end. */
export const GRANT_SHARES = 2;

export type DemandKind = 'normal' | 'background';

interface AnySupply {
  /**
   * Adds what has come since the last time, while `waiting` processes waited. `gates` of them wait, and `background` of
   * those that take only what other traffic leaves.
   */
  fill(waiting: number, gates: number, background: number): void;
  /** Bytes that may be granted to those that want `wanted`; 0: too few for a message. */
  grantable(kind: DemandKind, wanted: number): number;
  /** Most that one process is granted at once. */
  grantMax(claimants: number): number;
  take(bytes: number, kind: DemandKind): void;
  refund(bytes: number): void;
}

/** Bytes at a rate. */
export interface RefillingSupply extends AnySupply {
  readonly kind: 'refilling';
  /** Whether a new one would hold as much. */
  readonly isFull: boolean;
  setRate(rate: FillRate): void;
  /** Processes wait for what comes with time. */
  onWaiting(): void;
}

/** Bytes that are used up. */
export interface FiniteSupply extends AnySupply {
  readonly kind: 'finite';
  /** Whether each of so many claimants would get too little to go on. */
  isTooLittleFor(claimants: number): boolean;
  /** Milliseconds until the period ends. */
  resetsInMs(): number;
  /** Asks for more, where others have some: `coming` until `onMore` is called. */
  requestMore(wanted: number, onMore: () => void): 'coming' | 'none';
}

/** Where the bytes come from that an allocator grants: a rate refills by itself, a quota is finite. */
export type Supply = RefillingSupply | FiniteSupply;

/** Bytes at a rate that this process alone counts. */
export class RateSupply implements RefillingSupply {
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

  fill(waiting: number): void {
    this.#bucket.fill(this.#clock.now(), waiting);
  }

  onWaiting(): void {}

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

/** What is left of a quota in its period, where this process alone counts it. */
export class QuotaSupply implements FiniteSupply {
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

  isTooLittleFor(claimants: number): boolean {
    return this.#counter.left() < GRANT_BYTES_MIN * claimants;
  }

  resetsInMs(): number {
    return this.#counter.waitMs();
  }

  requestMore(): 'none' {
    return 'none';
  }

  take(bytes: number): void {
    this.#counter.use(bytes);
  }

  refund(bytes: number): void {
    this.#counter.refund(bytes);
  }
}
