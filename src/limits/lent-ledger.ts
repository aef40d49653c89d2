import type { Clock } from '../core/clock.ts';
import type { StopSignal } from '../core/stop.ts';
import type { Bucket } from './bucket.ts';
import type { ExtraBucket } from './hook.ts';
import { Keyed } from './keyed.ts';
import type { Lender } from './lease.ts';
import type { LeasedBuckets } from './leased-bucket.ts';
import { type Ledger, OwnLedger } from './ledger.ts';
import type { Names } from './names.ts';
import { type LimitsOptions, NO_LIMITS, type QuotaOptions } from './options.ts';
import { KEYS_MAX, type QuotaHold } from './quota.ts';
import { keyOf, type Subject } from './subject.ts';

/** A quota has no rate: turns are as large as reads. */
const NO_RATE = { rate: Number.POSITIVE_INFINITY, burst: undefined };

interface LentQuota {
  readonly id: string;
  readonly per: QuotaOptions['per'];
  readonly buckets: Keyed<Bucket>;
}

/** Counts nothing itself: asks the owner of the limits for each place, and for the bytes of quotas in slices. */
export class LentLedger implements Ledger {
  readonly #lender: Lender;
  readonly #leases: LeasedBuckets;
  /** Knows how limits are called, and counts nothing. */
  readonly #named: OwnLedger;
  #quotas: readonly LentQuota[] = [];

  constructor(lender: Lender, leases: LeasedBuckets, clock: Clock) {
    this.#lender = lender;
    this.#leases = leases;
    this.#named = new OwnLedger(NO_LIMITS, { clock, observe: () => {} });
  }

  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    return this.#lender.admit(subject, signal);
  }

  hold(subject: Subject): QuotaHold {
    const held = this.#quotas.map((quota) => {
      const key = keyOf(quota.per, subject);
      const bucket = quota.buckets.hold(key, () =>
        this.#leases.open({ kind: 'quota', limit: quota.id, key }, NO_RATE, { bytes: 0 }),
      );
      bucket.users++;
      return { quota, key, bucket };
    });
    return {
      counters: held.map(({ bucket }) => this.#leases.allowanceOf(bucket)),
      buckets: held.map(({ bucket }): ExtraBucket => ({ bucket, direction: 'both', priority: 'normal' })),
      [Symbol.dispose]: () => {
        for (const { quota, key, bucket } of held) {
          bucket.users--;
          quota.buckets.release(key);
        }
      },
    };
  }

  update(options: LimitsOptions, names: Names): void {
    this.#named.update(options, names);
    const old = new Map(this.#quotas.map((quota) => [quota.id, quota]));
    this.#quotas = this.#named.quotas.ids().map(({ id, per }) => old.get(id) ?? this.#make(id, per));
    for (const quota of this.#quotas) old.delete(quota.id);
    for (const { buckets } of old.values()) for (const bucket of buckets.values()) this.#leases.close(bucket);
    this.#leases.renew();
    this.#lender.update(options);
  }

  namesFor(subject: Subject): string[] {
    return this.#named.namesFor(subject);
  }

  describe(): ReturnType<OwnLedger['describe']> {
    return this.#named.describe();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#named[Symbol.asyncDispose]();
  }

  #make(id: string, per: QuotaOptions['per']): LentQuota {
    const buckets = new Keyed<Bucket>(
      KEYS_MAX,
      (bucket) => this.#leases.isIdle(bucket),
      (bucket) => this.#leases.close(bucket),
    );
    return { id, per, buckets };
  }
}
