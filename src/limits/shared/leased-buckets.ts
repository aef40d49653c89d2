import type { Clock } from '../../util/clock.ts';
import { Bucket, type ByteCounter } from '../shaping/bucket.ts';
import type { FillRate } from '../token-bucket.ts';
import type { BudgetKey, LimitsBackend } from './backend.ts';
import { LeasedRefill } from './leased-refill.ts';

/** An entry counts as one that shares a budget for this long (and up to twice) after it has taken something. */
const SWEEP_MS = 100;

/** The buckets of one process whose bytes the owner of the limits grants. */
export class LeasedBuckets implements Disposable {
  readonly #backend: LimitsBackend;
  readonly #clock: Clock;
  readonly #onRefilled: (bucket: Bucket) => void;
  readonly #open = new Map<Bucket, LeasedRefill>();
  /** Those that have been used lately. */
  readonly #warm = new Set<LeasedRefill>();
  #timer: Disposable | undefined;

  /** `onRefilled` is called when a bucket can be served again. */
  constructor(backend: LimitsBackend, clock: Clock, onRefilled: (bucket: Bucket) => void) {
    this.#backend = backend;
    this.#clock = clock;
    this.#onRefilled = onRefilled;
  }

  /** A bucket that begins empty; disposing gives back what is left in it. */
  open(of: BudgetKey, rate: FillRate, byteCounter: ByteCounter): Bucket {
    const refill = new LeasedRefill({
      rate,
      clock: this.#clock,
      openLease: (listener) => this.#backend.openBudget(of, listener),
      onRefilled: this.#onRefilled,
      onWarm: (warm) => this.#sweepLater(warm),
      onClosed: (closed) => {
        this.#open.delete(bucket);
        this.#warm.delete(closed);
      },
    });
    const bucket: Bucket = new Bucket(refill, byteCounter, this.#clock.now());
    refill.attach(bucket);
    this.#open.set(bucket, refill);
    return bucket;
  }

  /** After the limits have changed: quotas that were used up may have bytes again. */
  renew(): void {
    for (const refill of this.#open.values()) refill.renew();
  }

  /** The owner has admitted a request under this quota, and does so only while bytes are left. */
  renewFor(bucket: Bucket): void {
    this.#open.get(bucket)?.renew();
  }

  [Symbol.dispose](): void {
    for (const refill of this.#open.values()) refill[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
  }

  #sweepLater(refill: LeasedRefill): void {
    this.#warm.add(refill);
    this.#timer ??= this.#clock.after(SWEEP_MS, () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = undefined;
    for (const refill of this.#warm) if (refill.sweep() === 'cold') this.#warm.delete(refill);
    if (this.#warm.size > 0) this.#timer = this.#clock.after(SWEEP_MS, () => this.#sweep());
  }
}
