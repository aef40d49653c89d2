import { createHash } from 'node:crypto';
import type { Clock } from '../../util/clock.ts';
import { QUOTA_KEYS_MAX } from '../counting/quotas.ts';
import { KeyedPool } from '../keyed-pool.ts';
import type { QuotaOptions } from '../options.ts';
import { GRANT_BYTES_MIN } from '../shared/supply.ts';
import { QuotaLease } from './quota-lease.ts';
import { QUOTA } from './scripts.ts';
import type { StoreLink } from './store-link.ts';

/** Quotas are asked for together, with a pause between two calls. */
const PAUSE_MS = 40;
/** What is not used is given back, at the latest after so long. */
const RETURN_MS = 1_000;
/** Quotas in one call. */
const QUOTAS_MAX = 100;

/** One quota of the configuration. */
export interface StoreQuota {
  readonly id: string;
  name: string;
  options: QuotaOptions;
  refused: number;
  readonly leases: KeyedPool<QuotaLease>;
}

/** The quotas of one instance whose bytes the store counts. */
export class QuotaLeases implements Disposable {
  readonly #link: StoreLink;
  readonly #clock: Clock;
  readonly #keys = new WeakMap<QuotaLease, string>();
  readonly #changed = new Set<QuotaLease>();
  readonly #live = new Set<QuotaLease>();
  #timer: Disposable | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #startedMs = Number.NEGATIVE_INFINITY;
  #isSending = false;
  #isClosed = false;

  constructor(link: StoreLink, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
    link.onChange((change) => {
      if (change === 'down') for (const lease of this.#live) lease.onStoreDown();
      else this.#sendIn(0);
    });
  }

  /** Of fixed length, and without the names of users. */
  keyOf(id: string, key: string): string {
    const digest = createHash('sha256').update(`${id}\0${key}`).digest('base64url');
    return this.#link.key('quota', digest.slice(0, 22));
  }

  pool(): KeyedPool<QuotaLease> {
    return new KeyedPool<QuotaLease>(
      QUOTA_KEYS_MAX,
      // What is known of it tells that it is used up, until the period ends.
      (lease) => lease.isIdle && lease.used === 0,
      (lease) => this.#live.delete(lease),
    );
  }

  make(id: string, key: string, options: QuotaOptions): QuotaLease {
    const link = this.#link;
    const lease = new QuotaLease({
      clock: this.#clock,
      options,
      instances: () => link.instances,
      isStoreUp: () => link.isUp,
      onChanged: (changed) => {
        this.#changed.add(changed);
        this.#sendIn(changed.hasReport ? 0 : RETURN_MS);
      },
    });
    this.#keys.set(lease, this.keyOf(id, key));
    this.#live.add(lease);
    return lease;
  }

  /** Gives back what is leased: the process ends. */
  async leave(): Promise<void> {
    this[Symbol.dispose]();
    for (const lease of this.#live) lease.users = 0;
    const used = [...this.#live].filter(({ hasReport }) => hasReport);
    for (let at = 0; at < used.length; at += QUOTAS_MAX) await this.#sendBatch(used.slice(at, at + QUOTAS_MAX));
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #sendIn(delayMs: number): void {
    if (this.#isClosed) return;
    const dueMs = Math.max(this.#clock.now() + delayMs, this.#startedMs + PAUSE_MS);
    if (dueMs >= this.#dueMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#dueMs = dueMs;
    this.#timer = this.#clock.after(Math.max(0, dueMs - this.#clock.now()), () => void this.#sendAll());
  }

  async #sendAll(): Promise<void> {
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (this.#isSending || this.#isClosed) return;
    this.#isSending = true;
    this.#startedMs = this.#clock.now();
    const ready = [...this.#changed].filter(({ hasReport }) => hasReport).slice(0, QUOTAS_MAX);
    for (const lease of ready) this.#changed.delete(lease);
    if (this.#link.isUp && ready.length > 0) await this.#sendBatch(ready);
    else for (const lease of ready) this.#changed.add(lease);
    this.#isSending = false;
    if (!this.#link.isUp) return;
    for (const lease of this.#changed) if (lease.isIdle) this.#changed.delete(lease);
    if ([...this.#changed].some(({ hasReport }) => hasReport)) this.#sendIn(0);
    else if (this.#changed.size > 0) this.#sendIn(RETURN_MS);
  }

  async #sendBatch(batch: readonly QuotaLease[]): Promise<void> {
    const reports = batch.map((lease) => lease.report());
    const keys = [this.#link.key('epoch'), ...batch.map((lease) => this.#keys.get(lease) ?? '')];
    try {
      const reply = await this.#link.call(QUOTA, keys, { quotas: reports, leastBytes: GRANT_BYTES_MIN });
      const grants = Array.isArray(reply[1]) ? reply[1] : [];
      for (const [at, lease] of batch.entries()) {
        const asked = reports[at];
        const granted: unknown = grants[at];
        if (asked === undefined || !Array.isArray(granted)) continue;
        const [bytes, used, sinceMs, resetsInMs] = granted.map(Number);
        if (bytes === undefined || used === undefined || sinceMs === undefined || resetsInMs === undefined) continue;
        lease.onGranted({ bytes, used, sinceMs, resetsInMs }, asked);
        // What is leased is given back when it is not used.
        this.#changed.add(lease);
      }
    } catch {
      for (const [at, lease] of batch.entries()) {
        const report = reports[at];
        if (report !== undefined) lease.onFailed(report);
        this.#changed.add(lease);
      }
    }
  }
}
