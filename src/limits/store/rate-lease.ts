import type { Clock } from '../../util/clock.ts';
import { QUANTUM_BYTES_MIN } from '../shaping/bucket.ts';
import { type DemandKind, type RefillingSupply, SERVE_EVERY_MS } from '../shared/supply.ts';
import type { FillRate } from '../token-bucket.ts';

/** A budget whose takers have waited within this time gets less than they want. */
const UNMET_MS = 30;
/** Without takers for so long, a lease is given back: another instance may need it. */
const IDLE_MS = 1_000;
/** A demand is the mean of about so long: workers ask for bytes ahead, and may need none for some reports. */
const MEAN_MS = 500;
/** A demand that is met is asked for with so much more, so that it can grow. */
const GROWTH = 1.25;
/** Bytes per second that a demand has at least: the first bytes of a new tunnel. */
const DEMAND_MIN = 16 * 1024;
/** What a lease keeps while no gate waits, as a part of the burst: the store has counted it, and other instances miss it. */
const KEPT_PART = 1 / 4;
/** A report that is so much later than the end of its lease is still counted; then the store has done it by itself. */
const LATE_MS = 1_000;
/** The process may have been stopped for longer: what its lease gave then is lost, or it would all come at once. */
const FILL_MS_MAX = 1_000;

/** What one instance tells the store about one budget; see `REPORT`. */
export interface RateReport {
  readonly rate: number;
  readonly burst: number;
  readonly issued: number;
  readonly gates: number;
  readonly demand: number;
  readonly background: number;
  readonly held: number;
  readonly leaves: boolean;
}

/** What the store has granted. */
export interface RateGrant {
  /** Bytes per second, until the lease ends. */
  readonly rate: number;
  /** At once. */
  readonly bytes: number;
  readonly untilMs: number;
  /** How long it is. */
  readonly leaseMs: number;
}

export interface RateLeaseDeps {
  readonly rate: FillRate;
  readonly clock: Clock;
  /** Instances that share the limit, as far as is known. */
  instances(): number;
  isStoreUp(): boolean;
  /** It is in use and has no lease, or gets less than it wants: a report should follow soon. */
  onWanting(lease: RateLease): void;
}

/**
 * The part of a rate that the store has leased to this instance. Without the store it keeps to its rate until the lease
 * has ended, and then to an equal part for each instance: never to more than the rate of the configuration.
 */
export class RateLease implements RefillingSupply {
  readonly kind = 'refilling';
  readonly #deps: RateLeaseDeps;
  #rate: FillRate;
  #grant: Omit<RateGrant, 'bytes'> | undefined;
  #level = 0;
  /** As a bucket of the whole limit would hold: what may be added at once. */
  #allowed: number;
  #filledMs: number;
  /** Since the last report that the store has. */
  #issued = 0;
  #taken = 0;
  /** Bytes per second that were taken. */
  #mean = 0;
  #reportedMs: number;
  #unmetMs = Number.NEGATIVE_INFINITY;
  #usedMs = Number.NEGATIVE_INFINITY;
  #gates = 0;
  #background = 0;
  /** The last report said that takers wait. */
  #isKnownToWant = false;

  constructor(deps: RateLeaseDeps) {
    this.#deps = deps;
    this.#rate = deps.rate;
    this.#allowed = deps.rate.capacityMax;
    this.#filledMs = deps.clock.now();
    this.#reportedMs = this.#filledMs;
  }

  setRate(rate: FillRate): void {
    this.#accrue();
    this.#rate = rate;
  }

  /** Nothing is lost with it: it holds no lease. */
  get isFull(): boolean {
    return this.#grant === undefined && this.#level < 1;
  }

  /** Bytes per second that this instance may have now. */
  get leased(): number {
    const nowMs = this.#deps.clock.now();
    const own = this.#rate.rate / this.#deps.instances();
    const grant = this.#grant;
    // A budget that is used for the first time waits for its first lease, unless the store cannot give one.
    if (grant === undefined) return this.#deps.isStoreUp() ? 0 : own;
    if (nowMs < grant.untilMs) return Math.min(grant.rate, this.#rate.rate);
    // Other leases, of the same length, may have begun just before the store went away.
    const isLate = nowMs >= grant.untilMs + grant.leaseMs;
    return isLate ? own : Math.min(grant.rate, own);
  }

  fill(_waiting: number, gates: number, background: number): void {
    this.#gates = gates;
    this.#background = background;
    if (gates + background > 0) {
      this.#unmetMs = this.#deps.clock.now();
      this.#usedMs = this.#unmetMs;
    }
    this.#accrue();
  }

  grantable(kind: DemandKind, wanted: number): number {
    const { perMs, burst, capacityMax } = this.#rate;
    const reserve = kind === 'background' ? Math.min(burst / 2, (this.leased / 1000) * SERVE_EVERY_MS) : 0;
    const bytes = Math.floor(this.#level - reserve);
    const worthwhile = Math.max(QUANTUM_BYTES_MIN, (perMs * SERVE_EVERY_MS) / 8);
    return bytes < Math.min(wanted, worthwhile, Math.floor(capacityMax - reserve)) ? 0 : bytes;
  }

  grantMax(): number {
    return Number.POSITIVE_INFINITY;
  }

  take(bytes: number, kind: DemandKind): void {
    this.#level -= bytes;
    if (kind === 'normal') this.#taken += bytes;
    this.#usedMs = this.#deps.clock.now();
  }

  refund(bytes: number): void {
    this.#level += bytes;
    this.#discardSurplus();
  }

  /** Takers wait: the store is asked soon, unless it knows. */
  onWaiting(): void {
    if (!this.#isKnownToWant) this.#deps.onWanting(this);
  }

  get isIdle(): boolean {
    return this.#deps.clock.now() - this.#usedMs >= IDLE_MS;
  }

  /** `onFailed` puts back what the store has not heard. */
  report(): { readonly report: RateReport; readonly onFailed: () => void } {
    const nowMs = this.#deps.clock.now();
    this.#accrue();
    const leaves = this.isIdle;
    // Another lease has followed, and the store counts from its beginning.
    if (!this.#isLeased) this.#issued = 0;
    if (leaves) {
      this.#issued -= this.#level;
      this.#allowed += this.#level;
      this.#level = 0;
    }
    const [issued, taken] = [this.#issued, this.#taken];
    const sinceMs = Math.max(1, nowMs - this.#reportedMs);
    const isUnmet = nowMs - this.#unmetMs <= UNMET_MS;
    const part = 1 - Math.exp(-sinceMs / MEAN_MS);
    this.#mean += ((taken / sinceMs) * 1000 - this.#mean) * part;
    const met = Math.max(DEMAND_MIN, this.#mean * GROWTH);
    const held = this.leased;
    this.#issued = 0;
    this.#taken = 0;
    this.#reportedMs = nowMs;
    if (leaves) this.#grant = undefined;
    this.#isKnownToWant = isUnmet;
    return {
      report: {
        rate: this.#rate.rate,
        burst: this.#rate.capacityMax,
        issued: Math.round(issued),
        gates: this.#gates,
        demand: leaves ? 0 : isUnmet && this.#gates > 0 ? -1 : Math.min(met, this.#rate.rate),
        background: isUnmet ? this.#background : 0,
        held: Math.floor(held),
        leaves,
      },
      onFailed: () => {
        this.#issued += issued;
        this.#isKnownToWant = false;
      },
    };
  }

  onGranted({ rate, bytes, untilMs, leaseMs }: RateGrant): void {
    this.#accrue();
    this.#grant = { rate: clamp(rate, this.#rate.rate), untilMs, leaseMs };
    // The store has counted them already.
    this.#issued -= clamp(bytes, Number.MAX_SAFE_INTEGER) - this.#add(bytes);
    this.#discardSurplus();
  }

  /** What the lease has given since the last time. */
  #accrue(): void {
    const nowMs = this.#deps.clock.now();
    const passedMs = Math.min(FILL_MS_MAX, nowMs - this.#filledMs);
    this.#filledMs = nowMs;
    if (passedMs <= 0) return;
    const { perMs, capacityMax } = this.#rate;
    this.#allowed = Math.min(capacityMax, this.#allowed + perMs * passedMs);
    const bytes = this.#add((this.leased * passedMs) / 1000);
    // What it has without a lease is its own part of the limit: the store does not count it.
    if (this.#isLeased) this.#issued += bytes;
    this.#discardSurplus();
  }

  /** A value of the store never raises a limit above the configured one: the bytes that may be added. */
  #add(wanted: number): number {
    const bytes = clamp(wanted, Math.max(0, this.#allowed));
    this.#allowed -= bytes;
    this.#level += bytes;
    return bytes;
  }

  get #isLeased(): boolean {
    return this.#grant !== undefined && this.#filledMs < this.#grant.untilMs + LATE_MS;
  }

  /** What is not kept was not issued: the store has it again for others. */
  #discardSurplus(): void {
    const { burst, capacityMax } = this.#rate;
    const isWaited = this.#filledMs - this.#unmetMs <= UNMET_MS;
    const surplus = this.#level - (isWaited ? capacityMax : Math.max(QUANTUM_BYTES_MIN, burst * KEPT_PART));
    if (surplus <= 0) return;
    this.#level -= surplus;
    this.#allowed += surplus;
    if (this.#isLeased) this.#issued -= surplus;
  }
}

const clamp = (value: number, max: number): number => (Number.isFinite(value) ? Math.min(max, Math.max(0, value)) : 0);
