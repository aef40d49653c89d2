import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';
import { type Admission, LocalAdmission } from '../counting/admission.ts';
import { NOTHING_HELD, QUOTA_KEYS_MAX, type QuotaHold } from '../counting/quotas.ts';
import type { ExtraBucket } from '../hook.ts';
import type { LimitIds } from '../ids.ts';
import { KeyedPool } from '../keyed-pool.ts';
import { type LimitsOptions, NO_LIMITS, type QuotaOptions } from '../options.ts';
import type { QuotaBudget } from '../quota-budget.ts';
import type { Bucket } from '../shaping/bucket.ts';
import { keyOf, type Subject } from '../subject.ts';
import { FillRate } from '../token-bucket.ts';
import type { LimitsBackend } from './backend.ts';
import type { LeasedBuckets } from './leased-buckets.ts';

/** A quota has no rate: turns are as large as reads. */
const NO_RATE = new FillRate(Number.POSITIVE_INFINITY);

interface RemoteQuota {
  readonly id: string;
  readonly per: QuotaOptions['per'];
  readonly buckets: KeyedPool<Bucket>;
}

/** Counts nothing itself: asks the owner of the limits to admit each request, and leases the bytes of quotas in slices. */
export class RemoteAdmission implements Admission {
  readonly #backend: LimitsBackend;
  readonly #leases: LeasedBuckets;
  readonly #clock: Clock;
  /** For names and ids of limits; it counts nothing. */
  readonly #local: LocalAdmission;
  #quotas: readonly RemoteQuota[] = [];

  constructor(backend: LimitsBackend, leases: LeasedBuckets, clock: Clock) {
    this.#backend = backend;
    this.#leases = leases;
    this.#clock = clock;
    this.#local = new LocalAdmission(NO_LIMITS, { clock, observe: () => {} });
  }

  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    return this.#backend.admit(subject, signal);
  }

  hold(subject: Subject): QuotaHold {
    if (this.#quotas.length === 0) return NOTHING_HELD;
    const held = this.#quotas.map((quota) => {
      const key = keyOf(quota.per, subject);
      const bucket = quota.buckets.hold(key, () =>
        this.#leases.open({ kind: 'quota', limit: quota.id, key }, NO_RATE, { bytes: 0 }),
      );
      this.#leases.renewFor(bucket);
      bucket.users++;
      return { quota, key, bucket };
    });
    return {
      counters: held.map(({ bucket }) => lastBytesOf(bucket)),
      buckets: held.map(({ bucket }): ExtraBucket => ({ bucket, direction: 'both', priority: 'normal' })),
      [Symbol.dispose]: () => {
        for (const { quota, key, bucket } of held) {
          bucket.users--;
          quota.buckets.release(key);
        }
      },
    };
  }

  update(options: LimitsOptions, limitIds: LimitIds): void {
    this.#local.update(options, limitIds);
    const old = new Map(this.#quotas.map((quota) => [quota.id, quota]));
    this.#quotas = this.#local.quotas.ids().map(({ id, per }) => old.get(id) ?? this.#make(id, per));
    for (const quota of this.#quotas) old.delete(quota.id);
    for (const { buckets } of old.values()) for (const bucket of buckets.values()) bucket[Symbol.dispose]();
    this.#leases.renew();
    this.#backend.update(options);
  }

  namesFor(subject: Subject): string[] {
    return this.#local.namesFor(subject);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#local[Symbol.asyncDispose]();
  }

  #make(id: string, per: QuotaOptions['per']): RemoteQuota {
    const buckets = new KeyedPool<Bucket>(
      QUOTA_KEYS_MAX,
      (bucket) => bucket.isLikeNew(this.#clock.now()),
      (bucket) => bucket[Symbol.dispose](),
    );
    return { id, per, buckets };
  }
}

/** Bytes are taken from the bucket; only when no more come does it matter how many are left. */
const lastBytesOf = (bucket: Bucket): QuotaBudget => ({
  left: () => bucket.lastBytes ?? Number.MAX_SAFE_INTEGER,
  use() {},
  refund() {},
});
