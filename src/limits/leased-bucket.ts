import type { Clock } from '../core/clock.ts';
import { Bucket, type Pace, type Supply, type Tally, TURN_BYTES_MIN } from './bucket.ts';
import type { Allowance, Share } from './flow.ts';
import type { Account, AccountOf, Holder, Lender } from './lease.ts';

/**
 * A bucket has or has asked for this much of its rate: long enough for several answers while both processes are busy,
 * since shares are equal only as long as everybody is waited for; short enough that what lies in the wrong process is
 * not missed in the other.
 */
const SLICE_MS = 60;
/** It asks again when it has less than this part of it: once for two or three answers. */
const ASK_BELOW = 2 / 3;
/** Where there is no rate, i.e. for quotas: enough for 1 GB/s and an answer within half a millisecond. */
const SLICE_BYTES_MAX = 1024 * 1024;
/** A flow counts as one of those that share a budget for this long (and up to twice) after it has taken something. */
const SWEEP_MS = 100;
/** What nobody has taken from for so many sweeps gives back what it holds. */
const IDLE_SWEEPS = 10;

/** The buckets of one process that are filled by the owner of the limits. */
export class LeasedBuckets implements Disposable {
  readonly #lender: Lender;
  readonly #clock: Clock;
  readonly #filled: (bucket: Bucket) => void;
  readonly #leases = new Map<Bucket, Lease>();
  /** Those that have been used lately. */
  readonly #warm = new Set<Lease>();
  #timer: Disposable | undefined;

  /** `filled` is called when a bucket can serve again. */
  constructor(lender: Lender, clock: Clock, filled: (bucket: Bucket) => void) {
    this.#lender = lender;
    this.#clock = clock;
    this.#filled = filled;
  }

  open(of: AccountOf, pace: Pace, tally: Tally): Bucket {
    const lease = new Lease(this.#clock, this.#filled, (warm) => this.#warmed(warm));
    const bucket = lease.fill(new Bucket(pace, tally, this.#clock.now(), lease), this.#lender.account(of, lease));
    this.#leases.set(bucket, lease);
    return bucket;
  }

  /** What a quota with this bucket still allows. */
  allowanceOf(bucket: Bucket): Allowance {
    const lease = this.#leases.get(bucket);
    // Bytes are taken from the bucket; only at the end does it matter how many there are.
    const left = () => (lease?.isOver ? Math.floor(bucket.level) : Number.MAX_SAFE_INTEGER);
    return { left, use() {}, giveBack() {} };
  }

  /** Whether `bucket` holds nothing that would be missed. */
  isIdle(bucket: Bucket): boolean {
    return this.#leases.get(bucket)?.isIdle ?? true;
  }

  close(bucket: Bucket): void {
    const lease = this.#leases.get(bucket);
    if (lease === undefined) return;
    this.#leases.delete(bucket);
    this.#warm.delete(lease);
    lease[Symbol.dispose]();
  }

  /** After limits have changed: what was used up may be so no more. */
  renew(): void {
    for (const lease of this.#leases.values()) lease.renew();
  }

  [Symbol.dispose](): void {
    for (const bucket of [...this.#leases.keys()]) this.close(bucket);
    this.#timer?.[Symbol.dispose]();
  }

  #warmed(lease: Lease): void {
    this.#warm.add(lease);
    this.#timer ??= this.#clock.after(SWEEP_MS, () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = undefined;
    for (const lease of this.#warm) if (lease.sweep() === 'cold') this.#warm.delete(lease);
    if (this.#warm.size > 0) this.#timer = this.#clock.after(SWEEP_MS, () => this.#sweep());
  }
}

/** What is between one bucket here and its budget at the owner. */
class Lease implements Supply, Holder, Disposable {
  readonly #clock: Clock;
  readonly #filled: (bucket: Bucket) => void;
  readonly #warmed: (lease: Lease) => void;
  #bucket: Bucket | undefined;
  #account: Account | undefined;
  /** Asked for and not come yet. */
  #normal = 0;
  #background = 0;
  /** Taken since the last question by flows that do not wait for others. */
  #normalTaken = 0;
  #seesBackground = false;
  #overUntilMs = Number.NEGATIVE_INFINITY;
  /** Flows that have taken or waited since the last sweep, and before it. */
  #flows = new Set<Share>();
  #flowsBefore = new Set<Share>();
  #idleSweeps = 0;
  #isWarm = false;

  constructor(clock: Clock, filled: (bucket: Bucket) => void, warmed: (lease: Lease) => void) {
    this.#clock = clock;
    this.#filled = filled;
    this.#warmed = warmed;
  }

  fill(bucket: Bucket, account: Account): Bucket {
    this.#bucket = bucket;
    this.#account = account;
    return bucket;
  }

  get isOver(): boolean {
    return this.#overUntilMs > 0 && this.#overUntilMs > this.#clock.now();
  }

  get isIdle(): boolean {
    return !this.#isWarm;
  }

  taken(share: Share, bytes: number): void {
    this.#flows.add(share);
    if (share.isBackground) this.#seesBackground = true;
    else this.#normalTaken += bytes;
    if (!this.#isWarm) {
      this.#isWarm = true;
      this.#warmed(this);
    }
    this.#ask();
  }

  granted(bytes: number): void {
    const bucket = this.#bucket;
    if (bucket === undefined) return;
    if (hasRate(bucket)) {
      const normal = Math.min(this.#normal, bytes);
      this.#normal -= normal;
      this.#background = Math.max(0, this.#background - (bytes - normal));
    } else {
      // A rate goes on giving; a quota answers each question once, with what it can spare.
      this.#normal = 0;
      this.#background = 0;
    }
    bucket.credit(bytes);
    this.#filled(bucket);
    if (bucket.waiting > 0) this.#ask();
  }

  exhausted(forMs: number): void {
    if (this.#bucket === undefined) return;
    this.#normal = 0;
    this.#background = 0;
    this.#overUntilMs = this.#clock.now() + forMs;
    this.#filled(this.#bucket);
  }

  recalled(): number {
    // Behind the answer: who still waits here wants it back, if the others leave something.
    queueMicrotask(() => {
      if (this.#bucket !== undefined && this.#bucket.waiting > 0) this.#ask();
    });
    return this.#bucket?.drain() ?? 0;
  }

  renew(): void {
    this.#overUntilMs = Number.NEGATIVE_INFINITY;
  }

  sweep(): 'warm' | 'cold' {
    this.#idleSweeps = this.#flows.size > 0 ? 0 : this.#idleSweeps + 1;
    // Those who still wait have not taken anything for as long as that, and share all the same.
    const waiting = [...this.#flows, ...this.#flowsBefore].filter(({ slot }) => slot >= 0);
    this.#flowsBefore = this.#flows;
    this.#flows = new Set(waiting);
    this.#seesBackground = false;
    if (this.#idleSweeps < IDLE_SWEEPS) return 'warm';
    this.#isWarm = false;
    this.#idleSweeps = 0;
    const left = this.#bucket?.drain() ?? 0;
    if (this.#normal + this.#background > 0) {
      this.#normal = 0;
      this.#background = 0;
      this.#account?.want({ normal: 0, background: 0, flows: 0 });
    }
    if (left > 0) this.#account?.giveBack(left);
    return 'cold';
  }

  [Symbol.dispose](): void {
    const left = this.#bucket?.drain() ?? 0;
    if (left > 0) this.#account?.giveBack(left);
    this.#account?.[Symbol.dispose]();
    this.#bucket = undefined;
    this.#account = undefined;
  }

  #ask(): void {
    if (this.#bucket === undefined || this.isOver) return;
    const { level, perMs, hasNormalWaiting } = this.#bucket;
    // It asks while there is a turn left and more, so that nobody waits for want of bytes.
    const slice = hasRate(this.#bucket) ? Math.max(perMs * SLICE_MS, 3 * TURN_BYTES_MIN) : SLICE_BYTES_MAX;
    const ahead = level + this.#normal + this.#background;
    if (ahead >= slice * ASK_BELOW) return;
    const more = Math.ceil(slice - ahead);
    const normal = hasNormalWaiting || !this.#seesBackground ? more : Math.min(more, this.#normalTaken);
    this.#normalTaken = 0;
    this.#normal += normal;
    this.#background += more - normal;
    this.#account?.want({ normal: this.#normal, background: this.#background, flows: this.#countFlows() });
  }

  #countFlows(): number {
    let count = this.#flows.size;
    for (const share of this.#flowsBefore) if (!this.#flows.has(share)) count++;
    return count;
  }
}

const hasRate = ({ perMs }: Bucket): boolean => Number.isFinite(perMs);
