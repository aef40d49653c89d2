import type { Clock } from '../../util/clock.ts';
import type { QuotaOptions } from '../options.ts';
import { type FiniteSupply, GRANT_BYTES_MIN, GRANT_SHARES } from '../shared/supply.ts';

/** A lease that is not used is given back after this long: it may be all that is left for another instance. */
const IDLE_MS = 1_000;
/** After the store had nothing left, it is asked again no sooner: another instance may give some back. */
const DRY_MS = 1_000;

/** What one instance tells the store about one quota; see `QUOTA`. */
export interface QuotaReport {
  readonly max: number;
  readonly everyMs: number;
  readonly spent: number;
  readonly back: number;
  readonly want: number;
  readonly used: number;
  readonly sinceMs: number;
}

/** What the store has granted, and what it has counted. */
export interface QuotaGrant {
  readonly bytes: number;
  readonly used: number;
  /** When the period began, on the store's clock. */
  readonly sinceMs: number;
  readonly resetsInMs: number;
}

export interface QuotaLeaseDeps {
  readonly clock: Clock;
  readonly options: QuotaOptions;
  instances(): number;
  isStoreUp(): boolean;
  /** It has something to tell the store. */
  onChanged(lease: QuotaLease): void;
}

/**
 * The bytes of one quota that the store has leased to this instance. Without the store an equal part of what was left is
 * used, and counted in the store when it is back.
 */
export class QuotaLease implements FiniteSupply {
  readonly kind = 'finite';
  options: QuotaOptions;
  /** Claims of workers that are open. */
  users = 0;
  readonly #deps: QuotaLeaseDeps;
  #pool = 0;
  #want = 0;
  /** Used without a lease, and not yet counted in the store. */
  #spent = 0;
  /** Of what was left when the store went away, this instance's part. */
  #part: number | undefined;
  #used = 0;
  #sinceMs = 0;
  #resetsMs = Number.POSITIVE_INFINITY;
  #dryUntilMs = Number.NEGATIVE_INFINITY;
  #usedAtMs: number;
  #onMore: (() => void) | undefined;

  constructor(deps: QuotaLeaseDeps) {
    this.#deps = deps;
    this.options = deps.options;
    this.#usedAtMs = deps.clock.now();
  }

  fill(): void {}

  grantable(): number {
    return this.#pool;
  }

  grantMax(claimants: number): number {
    return Math.max(GRANT_BYTES_MIN, Math.ceil(this.#pool / (GRANT_SHARES * claimants)));
  }

  isTooLittleFor(claimants: number): boolean {
    return this.#pool < GRANT_BYTES_MIN * claimants;
  }

  resetsInMs(): number {
    return Math.max(0, Math.min(this.options.every, this.#resetsMs - this.#now));
  }

  take(bytes: number): void {
    this.#pool -= bytes;
    this.#usedAtMs = this.#now;
  }

  refund(bytes: number): void {
    this.#pool += bytes;
    this.#deps.onChanged(this);
  }

  requestMore(wanted: number, onMore: () => void): 'coming' | 'none' {
    if (!this.#deps.isStoreUp()) return this.#takePart(wanted) > 0 ? this.#serveSoon(onMore) : 'none';
    if (this.#now < this.#dryUntilMs) return 'none';
    this.#want = wanted;
    this.#onMore = onMore;
    this.#deps.onChanged(this);
    return 'coming';
  }

  /** As far as is known: in all instances, in the present period. */
  get used(): number {
    return this.#now >= this.#resetsMs ? 0 : this.#used + this.#spent;
  }

  get isUsedUp(): boolean {
    return this.used >= this.options.bytes;
  }

  get resetsAtMs(): number {
    return this.#deps.clock.wallMs() + this.resetsInMs();
  }

  get hasReport(): boolean {
    return this.#want > 0 || this.#spent > 0 || this.#back > 0;
  }

  /** Nothing is held, and the store has heard all. */
  get isIdle(): boolean {
    return this.users === 0 && this.#pool < 1 && this.#spent === 0;
  }

  report(): QuotaReport {
    const back = this.#back;
    this.#pool -= back;
    const { bytes: max, every: everyMs } = this.options;
    const [spent, want] = [this.#spent, this.#want];
    this.#spent = 0;
    this.#want = 0;
    return { max, everyMs, spent, back, want, used: this.#used, sinceMs: this.#sinceMs };
  }

  /** The store has not heard the report. */
  onFailed({ spent, back, want }: QuotaReport): void {
    this.#pool += back;
    this.#spent += spent;
    this.#want = Math.max(this.#want, want);
    this.onStoreDown();
  }

  onGranted({ bytes, used, sinceMs, resetsInMs }: QuotaGrant, asked: QuotaReport): void {
    this.#part = undefined;
    this.#used = used;
    this.#sinceMs = sinceMs;
    this.#resetsMs = this.#now + resetsInMs;
    if (asked.want === 0) return;
    // A value of the store never raises a limit above the configured one.
    this.#pool += Math.min(bytes, asked.want);
    this.#usedAtMs = this.#now;
    if (bytes === 0) this.#dryUntilMs = this.#now + DRY_MS;
    this.#deliver();
  }

  /** Claims that wait for the store go on without it. */
  onStoreDown(): void {
    if (this.#want === 0) return;
    this.#want = 0;
    this.#deliver();
  }

  #deliver(): void {
    const onMore = this.#onMore;
    this.#onMore = undefined;
    onMore?.();
  }

  #serveSoon(onMore: () => void): 'coming' {
    queueMicrotask(onMore);
    return 'coming';
  }

  /** Without the store. */
  #takePart(wanted: number): number {
    this.#part ??= Math.floor(Math.max(0, this.options.bytes - this.used) / this.#deps.instances());
    const bytes = Math.min(wanted, this.#part);
    this.#part -= bytes;
    this.#spent += bytes;
    this.#pool += bytes;
    return bytes;
  }

  get #back(): number {
    const isIdle = this.users === 0 || this.#now - this.#usedAtMs >= IDLE_MS;
    return isIdle && this.#want === 0 ? Math.max(0, Math.floor(this.#pool)) : 0;
  }

  get #now(): number {
    return this.#deps.clock.now();
  }
}
