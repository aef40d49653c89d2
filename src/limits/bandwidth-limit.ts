import type { Clock } from '../core/clock.ts';
import { Bucket, type Pace, type Tally } from './bucket.ts';
import { Keyed } from './keyed.ts';
import type { LeasedBuckets } from './leased-bucket.ts';
import { type Matcher, matcherOf } from './match.ts';
import type { BandwidthOptions } from './options.ts';

/** Buckets of clients, users or hosts that are kept for one limit while they are not in use and not yet full. */
const KEYS_MAX = 100_000;

const NOT_YET: BandwidthOptions = { per: 'proxy', direction: 'both', priority: 'normal' };

/** One entry of `limits.bandwidth`, with a bucket for everyone whom it counts by itself. */
export class BandwidthLimit {
  readonly id: string;
  readonly tally: Tally = { bytes: 0 };
  name = '';
  options: BandwidthOptions = NOT_YET;
  isMeant: Matcher = () => false;
  /** What its buckets let pass; `undefined` for an entry that only sets a priority. */
  #pace: Pace | undefined;
  readonly #clock: Clock;
  readonly #leases: LeasedBuckets | undefined;
  readonly #buckets: Keyed<Bucket>;

  /** With `leases` its budgets are those of several processes. */
  constructor(id: string, clock: Clock, leases?: LeasedBuckets) {
    this.id = id;
    this.#clock = clock;
    this.#leases = leases;
    this.#buckets = new Keyed(
      KEYS_MAX,
      // The number of a request never comes again, and neither does its bucket.
      (bucket) => this.options.per === 'tunnel' || (leases ? leases.isIdle(bucket) : bucket.isFull(clock.now())),
      (bucket) => leases?.close(bucket),
    );
  }

  /** Gives back what is lent, of a limit that is no more. */
  end(): void {
    for (const bucket of this.#buckets.values()) this.#leases?.close(bucket);
  }

  adopt(name: string, options: BandwidthOptions): void {
    this.name = name;
    this.options = options;
    this.isMeant = matcherOf(options.match);
    this.#setPace(options.rate === undefined ? undefined : { rate: options.rate, burst: options.burst });
  }

  /** Bytes per second. */
  get rate(): number | undefined {
    return this.#pace?.rate;
  }

  /** `false`: this entry limits no rate. */
  setRate(rate: number): boolean {
    if (!this.#pace) return false;
    this.#setPace({ ...this.#pace, rate });
    return true;
  }

  concerns(direction: 'up' | 'down'): boolean {
    return this.options.direction === 'both' || this.options.direction === direction;
  }

  isBackground(direction: 'up' | 'down'): boolean {
    return this.options.priority === 'background' && this.concerns(direction);
  }

  buckets(): Iterable<Bucket> {
    return this.#buckets.values();
  }

  /** The bucket of `key`, kept until it is released; `undefined`: this entry limits no rate. */
  hold(key: string): Bucket | undefined {
    const pace = this.#pace;
    if (!pace) return undefined;
    const bucket = this.#buckets.hold(key, () => this.#make(key, pace));
    bucket.users++;
    return bucket;
  }

  release(key: string): void {
    const bucket = this.#buckets.peek(key);
    if (bucket) bucket.users--;
    this.#buckets.release(key);
  }

  #make(key: string, pace: Pace): Bucket {
    // A tunnel is in one process, and so is its bucket.
    if (this.#leases === undefined || this.options.per === 'tunnel') {
      return new Bucket(pace, this.tally, this.#clock.now());
    }
    return this.#leases.open({ kind: 'bandwidth', limit: this.id, key }, pace, this.tally);
  }

  #setPace(pace: Pace | undefined): void {
    this.#pace = pace;
    if (!pace) return;
    for (const bucket of this.#buckets.values()) bucket.setPace(pace, this.#clock.now());
  }
}
