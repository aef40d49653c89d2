import type { Clock } from '../../util/clock.ts';
import { KEYS_MAX, KeyedPool } from '../keyed-pool.ts';
import type { Matcher } from '../match.ts';
import type { BandwidthOptions } from '../options.ts';
import type { LeasedBuckets } from '../shared/leased-buckets.ts';
import { FillRate } from '../token-bucket.ts';
import { Bucket, type ByteCounter } from './bucket.ts';
import { LocalRefill } from './refill.ts';

const UNCONFIGURED: BandwidthOptions = { per: 'proxy', direction: 'both', priority: 'normal' };

/** One entry of `limits.bandwidth`, with a bucket for each client, user, host or tunnel that it counts by itself. */
export class BandwidthLimit {
  readonly id: string;
  readonly byteCounter: ByteCounter = { bytes: 0 };
  name = '';
  options: BandwidthOptions = UNCONFIGURED;
  matches: Matcher = () => false;
  /** `undefined` for an entry that only sets a priority. */
  #rate: FillRate | undefined;
  readonly #clock: Clock;
  readonly #leases: LeasedBuckets | undefined;
  readonly #buckets: KeyedPool<Bucket>;

  /** With `leases` several processes share its budgets. */
  constructor(id: string, clock: Clock, leases?: LeasedBuckets) {
    this.id = id;
    this.#clock = clock;
    this.#leases = leases;
    this.#buckets = new KeyedPool(
      KEYS_MAX,
      // The id of a request never comes again, and neither does its bucket.
      (bucket) => this.options.per === 'tunnel' || bucket.isLikeNew(clock.now()),
      (bucket) => bucket[Symbol.dispose](),
    );
  }

  /** Gives back leased bytes of a limit that the configuration no longer has. */
  end(): void {
    for (const bucket of this.#buckets.values()) bucket[Symbol.dispose]();
  }

  adopt(name: string, options: BandwidthOptions, matches: Matcher): void {
    this.name = name;
    this.options = options;
    this.matches = matches;
    this.#applyRate(options.rate === undefined ? undefined : new FillRate(options.rate, options.burst));
  }

  /** Bytes per second. */
  get rate(): number | undefined {
    return this.#rate?.rate;
  }

  /** `false`: this entry limits no rate. */
  setRate(rate: number): boolean {
    if (!this.#rate) return false;
    this.#applyRate(new FillRate(rate, this.options.burst));
    return true;
  }

  /** How many bindings of requests hold one of its buckets. */
  get holders(): number {
    return this.#buckets.holders;
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
    const rate = this.#rate;
    if (!rate) return undefined;
    const bucket = this.#buckets.hold(key, () => this.#make(key, rate));
    bucket.users++;
    return bucket;
  }

  /** The bucket of `key`, if it is held. */
  peek(key: string): Bucket | undefined {
    return this.#buckets.peek(key);
  }

  release(key: string): void {
    const bucket = this.#buckets.peek(key);
    if (bucket) bucket.users--;
    this.#buckets.release(key);
  }

  #make(key: string, rate: FillRate): Bucket {
    // A tunnel is in one process, and so is its bucket.
    if (this.#leases === undefined || this.options.per === 'tunnel') {
      const nowMs = this.#clock.now();
      return new Bucket(new LocalRefill(rate, nowMs), this.byteCounter, nowMs);
    }
    return this.#leases.open({ kind: 'bandwidth', limit: this.id, key }, rate, this.byteCounter);
  }

  #applyRate(rate: FillRate | undefined): void {
    this.#rate = rate;
    if (!rate) return;
    for (const bucket of this.#buckets.values()) bucket.setRate(rate, this.#clock.now());
  }
}
