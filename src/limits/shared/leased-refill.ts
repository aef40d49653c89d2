import type { Clock } from '../../util/clock.ts';
import { type Bucket, QUANTUM_BYTES_MIN } from '../shaping/bucket.ts';
import type { Refill } from '../shaping/refill.ts';
import type { QueueEntry } from '../shaping/turn-queue.ts';
import type { FillRate } from '../token-bucket.ts';
import { type BudgetLease, type GrantListener, NO_DEMAND } from './backend.ts';

/**
 * A bucket has or has asked for this much of its rate: long enough for several grants while both processes are busy,
 * since shares are equal only as long as every process waits for its next grant; short enough that bytes in one process
 * are not missed in the other.
 */
const SLICE_MS = 60;
/** It asks again when it has less than this part of it: once for two or three grants. */
const ASK_BELOW = 2 / 3;
/** Where there is no rate, i.e. for quotas: enough for 1 GB/s and a grant within half a millisecond. */
const SLICE_BYTES_MAX = 1024 * 1024;
/** A bucket from which no gate has taken for so many sweeps gives back what it holds. */
const IDLE_SWEEPS = 10;

interface LeasedRefillDeps {
  readonly rate: FillRate;
  readonly clock: Clock;
  openLease(listener: GrantListener): BudgetLease;
  /** Bytes have been granted, or no more will come: the bucket can be served. */
  onRefilled(bucket: Bucket): void;
  /** It is in use again, and is to be swept. */
  onWarm(refill: LeasedRefill): void;
  onClosed(refill: LeasedRefill): void;
}

/** The bytes of one bucket that the owner of the limits grants: asks for them ahead, and gives back what is not used. */
export class LeasedRefill implements Refill, GrantListener {
  /** The owner leaves bytes for other traffic. */
  readonly reserve = 0;
  readonly turns = 'short';
  readonly #deps: LeasedRefillDeps;
  readonly #lease: BudgetLease;
  #rate: FillRate;
  #bucket: Bucket | undefined;
  #level = 0;
  /** Asked for and not come yet. */
  #normal = 0;
  #background = 0;
  /** Taken since the last demand by gates that are not background. */
  #normalTaken = 0;
  #seesBackground = false;
  #exhaustedUntilMs = Number.NEGATIVE_INFINITY;
  /** Entries that have taken or waited since the last sweep, and before it. */
  #entries = new Set<QueueEntry>();
  #entriesBefore = new Set<QueueEntry>();
  #idleSweeps = 0;
  #isWarm = false;

  constructor(deps: LeasedRefillDeps) {
    this.#deps = deps;
    this.#rate = deps.rate;
    this.#lease = deps.openLease(this);
  }

  /** Before this, and after it is disposed of, grants are given back. */
  attach(bucket: Bucket): void {
    this.#bucket = bucket;
  }

  get rate(): FillRate {
    return this.#rate;
  }

  get level(): number {
    return this.#level;
  }

  get isExhausted(): boolean {
    return this.#exhaustedUntilMs > 0 && this.#exhaustedUntilMs > this.#deps.clock.now();
  }

  setRate(rate: FillRate): void {
    this.#rate = rate;
  }

  fill(): void {}

  readyMs(bytes: number): number {
    return this.#level >= bytes || this.isExhausted ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }

  take(bytes: number, entry: QueueEntry): void {
    this.#level -= bytes;
    this.#entries.add(entry);
    if (entry.isBackground) this.#seesBackground = true;
    else this.#normalTaken += bytes;
    if (!this.#isWarm) {
      this.#isWarm = true;
      this.#deps.onWarm(this);
    }
    this.#requestMore();
  }

  refund(bytes: number): void {
    this.#level += bytes;
  }

  isLikeNew(): boolean {
    return !this.#isWarm;
  }

  onGranted(bytes: number): void {
    if (this.#bucket === undefined) return this.#lease.refund(bytes);
    this.renew();
    if (this.#hasRate) {
      const normal = Math.min(this.#normal, bytes);
      this.#normal -= normal;
      this.#background = Math.max(0, this.#background - (bytes - normal));
    } else {
      // A rate goes on giving; a quota answers each demand once, with what it can spare.
      this.#normal = 0;
      this.#background = 0;
    }
    this.#level += bytes;
    this.#deps.onRefilled(this.#bucket);
    if (this.#bucket.waiting > 0) this.#requestMore();
  }

  onExhausted(forMs: number): void {
    if (this.#bucket === undefined) return;
    this.#normal = 0;
    this.#background = 0;
    this.#exhaustedUntilMs = this.#deps.clock.now() + forMs;
    this.#deps.onRefilled(this.#bucket);
  }

  onRecalled(): number {
    // After the response: a gate that still waits here wants the bytes back, if the other processes leave some.
    queueMicrotask(() => {
      if (this.#bucket !== undefined && this.#bucket.waiting > 0) this.#requestMore();
    });
    const bytes = this.#drain();
    // A tunnel had returned them. The owner shares them out again, and the next take here asks for its part.
    if (bytes > 0) this.renew();
    return bytes;
  }

  /** A quota that was used up may have bytes again. */
  renew(): void {
    this.#exhaustedUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** Forgets entries that no longer take; after a while without any, gives back what is left and is cold. */
  sweep(): 'warm' | 'cold' {
    this.#idleSweeps = this.#entries.size > 0 ? 0 : this.#idleSweeps + 1;
    // An entry that still waits has not taken anything since, and shares all the same.
    const waiting = [...this.#entries, ...this.#entriesBefore].filter(({ heapIndex }) => heapIndex >= 0);
    this.#entriesBefore = this.#entries;
    this.#entries = new Set(waiting);
    this.#seesBackground = false;
    if (this.#idleSweeps < IDLE_SWEEPS) return 'warm';
    this.#isWarm = false;
    this.#idleSweeps = 0;
    const left = this.#drain();
    if (this.#normal + this.#background > 0) {
      this.#normal = 0;
      this.#background = 0;
      this.#lease.want(NO_DEMAND);
    }
    if (left > 0) this.#lease.refund(left);
    return 'cold';
  }

  [Symbol.dispose](): void {
    const left = this.#drain();
    if (left > 0) this.#lease.refund(left);
    this.#lease[Symbol.dispose]();
    this.#bucket = undefined;
    this.#deps.onClosed(this);
  }

  get #hasRate(): boolean {
    return Number.isFinite(this.#rate.perMs);
  }

  /** Removes all whole bytes that are there. */
  #drain(): number {
    const bytes = Math.max(0, Math.floor(this.#level));
    this.#level -= bytes;
    return bytes;
  }

  #requestMore(): void {
    if (this.#bucket === undefined || this.isExhausted) return;
    // It asks while there is a turn left and more, so that no gate waits for a message.
    const slice = this.#hasRate ? Math.max(this.#rate.perMs * SLICE_MS, 3 * QUANTUM_BYTES_MIN) : SLICE_BYTES_MAX;
    const ahead = this.#level + this.#normal + this.#background;
    if (ahead >= slice * ASK_BELOW) return;
    const more = Math.ceil(slice - ahead);
    const isNormal = this.#bucket.hasNormalWaiting || !this.#seesBackground;
    const normal = isNormal ? more : Math.min(more, this.#normalTaken);
    this.#normalTaken = 0;
    this.#normal += normal;
    this.#background += more - normal;
    this.#lease.want({ normal: this.#normal, background: this.#background, gates: this.#countEntries() });
  }

  #countEntries(): number {
    let count = this.#entries.size;
    for (const entry of this.#entriesBefore) if (!this.#entries.has(entry)) count++;
    return count;
  }
}
