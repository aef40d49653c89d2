import type { QuotaBudget } from '../quota-budget.ts';
import type { FillRate } from '../token-bucket.ts';
import type { HeapItem } from './heap.ts';
import type { Refill } from './refill.ts';
import { QueueEntry, TurnQueue } from './turn-queue.ts';

/** One turn is what the rate gives in this time: a smaller one costs more turns, and no gate is served sooner. */
const QUANTUM_MS = 20;
/**
 * … but where this process counts the rate, and it gives this much in that time, a turn is longer: each wakes two threads,
 * whose caches are cold by then. Below it a turn is short enough for interactive traffic on a slow line.
 */
const LONG_FROM_BYTES = 32 * 1024;
const LONG_QUANTUM_MS = 80;
/** What a relay takes at once at most (native/abi.h): a larger turn would never be used. */
const LONG_QUANTUM_BYTES_MAX = 8 * 1024 * 1024;
/** … but every gate that waits has had a turn after this long, so that 10 s are enough for equal shares. */
const ROUND_MS = 400;
/** A turn of fewer bytes costs more for its headers and its wake-up than for its bytes. */
export const QUANTUM_BYTES_MIN = 256;
/** Of other turns: bytes that come in grants from another process may never be there for a larger one. */
const QUANTUM_BYTES_MAX = 64 * 1024;

/** A bucket is served at most this often: at 100 MiB/s a wake-up per read would cost more than the read. */
export const SERVE_EVERY_MS = 2;

/**
 * One of several users takes at most this part of what is there in one interval. With a refill of 2 ms a bucket then
 * stays about 16 ms of its rate above empty while a single user is busy, well within what it may hold.
 */
const INTERVAL_SHARES = 8;

/** Rounding of doubles, in bytes: 12.5 GB/s times hours of milliseconds is exact to far less. */
const ROUNDING = 1e-3;

/** Bytes that have passed under one limit, over all its buckets. */
export interface ByteCounter {
  bytes: number;
}

/** A take that waits. */
export interface PendingTake {
  readonly bytesMax: number;
  readonly resolve: (bytes: number) => void;
  /** Where it waits: in exactly one bucket, the one that blocks it. */
  blockedOn: BucketEntry;
}

/** One direction of one request: the buckets that it takes from, and the take that waits. */
export interface GateState {
  readonly entries: readonly BucketEntry[];
  readonly quotas: readonly QuotaBudget[];
  pending: PendingTake | undefined;
  isOver: boolean;
}

/** The position of one gate in the queue of one bucket. */
export class BucketEntry extends QueueEntry {
  readonly gate: GateState;
  readonly bucket: Bucket;
  /** Bytes got in the bucket's interval of that number. */
  intervalBytes = 0;
  interval = -1;

  constructor(gate: GateState, bucket: Bucket) {
    super();
    this.gate = gate;
    this.bucket = bucket;
  }
}

/** One budget of bytes, with the gates that wait for it. Bytes are never lent: what was granted was there. */
export class Bucket implements HeapItem, Disposable {
  heapIndex = -1;
  /** Open requests that this bucket counts. */
  users = 0;
  /** When the first entry that waits can be served, on the clock. */
  wakeMs: number = Number.POSITIVE_INFINITY;
  servedMs: number = Number.NEGATIVE_INFINITY;
  readonly byteCounter: ByteCounter;
  readonly #refill: Refill;
  readonly #queue = new TurnQueue<BucketEntry>(this);
  #interval = 0;
  #intervalMs: number;
  /** What one of several users may take in the present interval. */
  #intervalShare: number;

  constructor(refill: Refill, byteCounter: ByteCounter, nowMs: number) {
    this.#refill = refill;
    this.byteCounter = byteCounter;
    this.#intervalMs = nowMs;
    this.#intervalShare = refill.level / INTERVAL_SHARES;
  }

  /** Takes the rate of a limit that was changed. */
  setRate(rate: FillRate, nowMs: number): void {
    this.fill(nowMs);
    this.#refill.setRate(rate, nowMs);
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Whether an entry waits that is not background. */
  get hasNormalWaiting(): boolean {
    return this.#queue.hasNormal;
  }

  get first(): BucketEntry | undefined {
    return this.#queue.first;
  }

  /** Bytes that are left when no more come; `undefined`: more come. */
  get lastBytes(): number | undefined {
    return this.#refill.isExhausted ? Math.floor(this.#refill.level) : undefined;
  }

  /** Whether nothing is lost with this bucket. */
  isLikeNew(nowMs: number): boolean {
    return this.#refill.isLikeNew(nowMs);
  }

  /** Adds the bytes that have come since the last time. */
  fill(nowMs: number): void {
    this.#refill.fill(nowMs, this.waiting);
    if (nowMs - this.#intervalMs < SERVE_EVERY_MS) return;
    this.#interval++;
    this.#intervalMs = nowMs;
    this.#intervalShare = this.#refill.level / INTERVAL_SHARES;
    this.#queue.beginInterval();
  }

  /** Bytes that this entry may take now, not looking at the others that wait. */
  available(entry: BucketEntry): number {
    if (this.#refill.isExhausted) return Number.MAX_SAFE_INTEGER;
    return Math.floor(this.#refill.level - this.#reserve(entry) + ROUNDING);
  }

  /** Bytes of one turn: small enough to be fair, and never more than the bucket can hold. */
  quantum(entry: QueueEntry): number {
    const { perMs, capacityMax } = this.#refill.rate;
    const isLong = this.#hasLongTurns;
    const fair = perMs * Math.min(isLong ? LONG_QUANTUM_MS : QUANTUM_MS, ROUND_MS / Math.max(1, this.waiting));
    const most = isLong
      ? Math.min(this.#heldOfLongTurns(entry), LONG_QUANTUM_BYTES_MAX)
      : Math.min(Math.floor(capacityMax - this.#reserve(entry)), QUANTUM_BYTES_MAX);
    return Math.max(1, Math.min(most, Math.max(QUANTUM_BYTES_MIN, Math.floor(fair))));
  }

  /**
   * Bytes that are to be there before a turn of `bytes` is served: a short one at once; of long ones, which are shorter the
   * more wait, as many together as have the bytes of the longest.
   */
  batch(entry: QueueEntry, bytes: number): number {
    if (this.waiting < 2 || !this.#hasLongTurns || bytes < this.quantum(entry)) return bytes;
    const most = Math.min(this.waiting * bytes, this.#heldOfLongTurns(entry));
    return Math.max(bytes, Math.min(this.#refill.rate.perMs * LONG_QUANTUM_MS, most));
  }

  get #hasLongTurns(): boolean {
    return this.#refill.turns === 'long' && this.#refill.rate.perMs * QUANTUM_MS >= LONG_FROM_BYTES;
  }

  /** A timer that comes late finds the bucket not yet full, as long as long turns are half of what it holds. */
  #heldOfLongTurns(entry: QueueEntry): number {
    return Math.floor((this.#refill.rate.capacityMax - this.#reserve(entry)) / 2);
  }

  /** When `bytes` will be there for this entry, on the clock. */
  readyMs(entry: BucketEntry, bytes: number): number {
    return this.#refill.readyMs(bytes + this.#reserve(entry) - ROUNDING);
  }

  isBehind(entry: BucketEntry): boolean {
    return this.#queue.isBehind(entry);
  }

  /**
   * Bytes that this entry may take before the next interval although no other waits: a part of what there was. Without
   * it the gate that takes first, or reads most at a time, would take all before the others take theirs. What is left
   * makes the next part larger, so that a single busy user among idle ones still reaches the rate.
   */
  intervalShare(entry: BucketEntry): number {
    if (this.users < 2) return Number.POSITIVE_INFINITY;
    const bytes = Math.max(this.#intervalShare, QUANTUM_BYTES_MIN, (this.#refill.rate.perMs * SERVE_EVERY_MS) / 2);
    return Math.floor(entry.interval === this.#interval ? bytes - entry.intervalBytes : bytes);
  }

  tag(entry: BucketEntry, bytes: number): void {
    this.#queue.tag(entry, bytes);
  }

  spend(entry: BucketEntry, bytes: number): void {
    this.byteCounter.bytes += bytes;
    this.#queue.onSpent(entry, bytes);
    entry.intervalBytes = entry.interval === this.#interval ? entry.intervalBytes + bytes : bytes;
    entry.interval = this.#interval;
    this.#refill.take(bytes, entry);
  }

  refund(entry: BucketEntry, bytes: number, nowMs: number): void {
    this.byteCounter.bytes -= bytes;
    this.#queue.onRefunded(entry, bytes);
    this.#refill.refund(bytes, nowMs);
  }

  enqueue(entry: BucketEntry): void {
    this.#queue.push(entry);
    this.#refill.take(0, entry);
  }

  dequeue(entry: BucketEntry): void {
    this.#queue.remove(entry);
  }

  /** Gives back bytes that were leased. */
  [Symbol.dispose](): void {
    this.#refill[Symbol.dispose]();
  }

  #reserve(entry: QueueEntry): number {
    return entry.isBackground ? this.#refill.reserve : 0;
  }
}
