import { createHash } from 'node:crypto';
import type { Clock } from '../../util/clock.ts';
import type { BudgetKey } from '../shared/backend.ts';
import type { FillRate } from '../token-bucket.ts';
import { RateLease } from './rate-lease.ts';
import { REPORT } from './scripts.ts';
import type { StoreLink } from './store-link.ts';

/** Budgets in use are reported this often; in a cluster, where each slot is a call of its own, less often. */
const REPORT_MS = 100;
const REPORT_CLUSTER_MS = 150;
/** A budget that wants more is reported after this long, however often it happens. */
const SOON_MS = 40;
/** A lease outlives so many reports that are lost, and the time that calls take. */
const LEASE_REPORTS = 3;
const LEASE_MS_MAX = 3_000;
/** In a cluster the limits are in so many slots: more would be more calls, and fewer would be fewer servers. */
const SLOTS = 4;
/** Budgets in one call: the store does nothing else meanwhile, for about a millisecond. */
const BUDGETS_MAX = 100;

interface Opened {
  readonly key: string;
  readonly slot: number;
  readonly lease: RateLease;
}

/** The leases of one instance. Those that are in use are reported together, one call for each slot. */
export class RateLeases implements Disposable {
  readonly #link: StoreLink;
  readonly #clock: Clock;
  /** Those that have been used lately. */
  readonly #used = new Map<RateLease, Opened>();
  readonly #opened = new WeakMap<RateLease, Opened>();
  #timer: Disposable | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #startedMs = Number.NEGATIVE_INFINITY;
  #isReporting = false;
  #isClosed = false;

  constructor(link: StoreLink, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
    // After it has lost what it counted, the store learns from what everyone holds.
    link.onChange((change) => {
      if (change !== 'down' && this.#used.size > 0) this.#reportIn(0);
    });
  }

  open({ limit, key }: BudgetKey, rate: FillRate): RateLease {
    const link = this.#link;
    const lease = new RateLease({
      rate,
      clock: this.#clock,
      instances: () => link.instances,
      isStoreUp: () => link.isUp,
      onWanting: (wanting) => this.#use(wanting),
    });
    // Of fixed length, and without the names of users.
    const digest = createHash('sha256').update(`${limit}\0${key}`).digest();
    const slot = (digest[0] ?? 0) % SLOTS;
    const name = link.keyIn(slot, 'rate', digest.toString('base64url').slice(0, 22));
    this.#opened.set(lease, { key: name, slot, lease });
    return lease;
  }

  /** Gives all leases back: the other instances have the whole rate with their next reports. */
  async leave(): Promise<void> {
    this[Symbol.dispose]();
    await this.#send([...this.#used.values()], 'leave');
    this.#used.clear();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #use(lease: RateLease): void {
    const opened = this.#opened.get(lease);
    if (opened === undefined) return;
    const isNew = !this.#used.has(lease);
    this.#used.set(lease, opened);
    // The first report cannot wait: until it is answered, the budget has nothing.
    this.#reportIn(isNew ? 0 : Math.max(0, this.#startedMs + SOON_MS - this.#clock.now()));
  }

  #reportIn(delayMs: number): void {
    if (this.#isClosed) return;
    // However many budgets are new: each waits at most for the pause between two calls.
    const dueMs = Math.max(this.#clock.now() + delayMs, this.#startedMs + SOON_MS);
    if (dueMs >= this.#dueMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#dueMs = dueMs;
    this.#timer = this.#clock.after(Math.max(0, dueMs - this.#clock.now()), () => void this.#report());
  }

  async #report(): Promise<void> {
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    if (this.#isReporting || this.#isClosed) return;
    this.#isReporting = true;
    this.#startedMs = this.#clock.now();
    await this.#send([...this.#used.values()], 'go-on');
    this.#isReporting = false;
    if (this.#used.size === 0) return;
    const takenMs = this.#clock.now() - this.#startedMs;
    this.#reportIn(Math.max(0, this.#link.jittered(this.#everyMs) - takenMs));
  }

  get #everyMs(): number {
    return this.#link.isCluster ? REPORT_CLUSTER_MS : REPORT_MS;
  }

  async #send(used: readonly Opened[], how: 'go-on' | 'leave'): Promise<void> {
    if (!this.#link.isUp) return;
    const bySlot = Map.groupBy(used, ({ slot }) => (this.#link.isCluster ? slot : 0));
    const batches = [...bySlot.values()].flatMap((all) =>
      Array.from({ length: Math.ceil(all.length / BUDGETS_MAX) }, (_, at) =>
        all.slice(at * BUDGETS_MAX, (at + 1) * BUDGETS_MAX),
      ),
    );
    await Promise.all(batches.map((batch) => this.#sendBatch(batch, how)));
  }

  async #sendBatch(batch: readonly Opened[], how: 'go-on' | 'leave'): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    const reports = batch.map(({ lease }) => lease.report());
    const limits = reports.map(({ report }) => (how === 'leave' ? { ...report, leaves: true } : report));
    const sentMs = this.#clock.now();
    const leaseMs = Math.min(LEASE_MS_MAX, Math.ceil(LEASE_REPORTS * this.#everyMs + 2 * this.#link.callMs));
    const keys = [this.#link.keyIn(first.slot, 'epoch'), ...batch.map(({ key }) => key)];
    const learnMs = Math.max(leaseMs, LEASE_REPORTS * REPORT_CLUSTER_MS);
    try {
      const reply = await this.#link.call(REPORT, keys, { me: this.#link.me, leaseMs, learnMs, limits });
      const grants = Array.isArray(reply[2]) ? reply[2] : [];
      for (const [at, { lease }] of batch.entries()) {
        if (limits[at]?.leaves) this.#used.delete(lease);
        else {
          const [rate, bytes] = Array.isArray(grants[at]) ? grants[at] : [];
          // From when it was sent: the lease of the store began later, and ends later.
          lease.onGranted({ rate: Number(rate), bytes: Number(bytes), untilMs: sentMs + leaseMs, leaseMs });
        }
      }
    } catch {
      // The link has said so. What was not heard is reported again.
      for (const { onFailed } of reports) onFailed();
    }
  }
}
