import { formatDuration } from '../../settings/units.ts';
import type { Clock } from '../../util/clock.ts';
import type { LimitIds } from '../ids.ts';
import { KEYS_MAX, KeyedPool } from '../keyed-pool.ts';
import type { RequestState } from '../limit-state.ts';
import type { RequestOptions } from '../options.ts';
import { refusalError } from '../refusal.ts';
import { keyOf, type Subject } from '../subject.ts';
import { FillRate, TokenBucket } from '../token-bucket.ts';

/** Rounding of doubles, in requests: a millionth of one. */
const ROUNDING = 1e-6;

interface RequestLimit {
  readonly id: string;
  name: string;
  options: RequestOptions;
  rate: FillRate;
  refused: number;
  buckets: KeyedPool<TokenBucket>;
}

/** Without `burst` as many requests may come at once as in one second, at least one. */
const rateOf = ({ rate, burst }: RequestOptions): FillRate =>
  new FillRate(rate, burst ?? Math.max(1, Math.floor(rate)));

/** Requests a second, as token buckets: unlike a fixed window they do not let twice the rate through at its edge. */
export class RequestRate {
  readonly #clock: Clock;
  readonly #begins: 'full' | 'empty';
  #limits: readonly RequestLimit[] = [];

  /** `empty`: a client, user or host that is seen for the first time may send one request, and has no burst yet. */
  constructor(clock: Clock, begins: 'full' | 'empty' = 'full') {
    this.#clock = clock;
    this.#begins = begins;
  }

  /** The limits in their order, for one that counts them elsewhere. */
  limits(): readonly { readonly id: string; readonly options: RequestOptions; readonly burst: number }[] {
    return this.#limits.map(({ id, options, rate }) => ({ id, options, burst: rate.burst }));
  }

  /** Forgets what was counted. */
  clear(): void {
    for (const limit of this.#limits) limit.buckets = this.#pool(() => limit.rate);
  }

  /** The refusal by the limit at this place, for one that counts them elsewhere. */
  refusalBy(at: number, subject: Subject, waitMs: number): Error | undefined {
    const limit = this.#limits[at];
    return limit && this.#refusal(limit, keyOf(limit.options.per, subject), waitMs);
  }

  names(): string[] {
    return this.#limits.map(({ name }) => name);
  }

  update(entries: readonly RequestOptions[], limitIds: LimitIds): void {
    const old = new Map(this.#limits.map((limit) => [limit.id, limit]));
    this.#limits = entries.map((options) => {
      const { id, name } = limitIds.requests(options);
      const limit = old.get(id) ?? this.#make(id, name, options);
      return Object.assign(limit, { name, options, rate: rateOf(options) });
    });
  }

  /** Counts one request, or throws `rate_limited` and counts nothing. */
  count(subject: Subject): void {
    if (this.#limits.length === 0) return;
    const nowMs = this.#clock.now();
    const held = this.#limits.map((limit) => {
      const key = keyOf(limit.options.per, subject);
      const bucket = limit.buckets.hold(key, () => this.#bucket(limit.rate, nowMs));
      // Here and not at the reload, which would touch a hundred thousand of them.
      bucket.setRate(limit.rate, nowMs);
      bucket.fill(nowMs);
      return { limit, key, bucket };
    });
    try {
      for (const { limit, key, bucket } of held) {
        if (bucket.level + ROUNDING < 1) {
          throw this.#refusal(limit, key, ((1 - bucket.level) / limit.rate.rate) * 1000);
        }
      }
      for (const { bucket } of held) bucket.take(1);
    } finally {
      for (const { limit, key } of held) limit.buckets.release(key);
    }
  }

  *describe(): Iterable<RequestState> {
    for (const { name, options, rate, refused, buckets } of this.#limits) {
      const { per } = options;
      yield { kind: 'requests', name, per, rate: options.rate, burst: rate.burst, users: buckets.size, refused };
    }
  }

  #make(id: string, name: string, options: RequestOptions): RequestLimit {
    const limit: RequestLimit = {
      id,
      name,
      options,
      rate: rateOf(options),
      refused: 0,
      buckets: this.#pool(() => limit.rate),
    };
    return limit;
  }

  #pool(rate: () => FillRate): KeyedPool<TokenBucket> {
    return new KeyedPool<TokenBucket>(KEYS_MAX, (bucket) => {
      const nowMs = this.#clock.now();
      bucket.setRate(rate(), nowMs);
      return bucket.isFull(nowMs);
    });
  }

  #bucket(rate: FillRate, nowMs: number): TokenBucket {
    const bucket = new TokenBucket(rate, nowMs);
    if (this.#begins === 'empty') bucket.take(rate.burst - 1);
    return bucket;
  }

  #refusal(limit: RequestLimit, key: string, waitMs: number): Error {
    limit.refused++;
    const { rate, burst } = limit.rate;
    const allowed = rate > 1 ? `${rate} requests a second` : `one request every ${formatDuration(1000 / rate)}`;
    return refusalError({
      code: 'rate_limited',
      limit: limit.name,
      clientDetail: `limit "${limit.name}" allows ${allowed}`,
      key,
      retryAfterMs: waitMs,
      policy: { quota: burst, windowMs: (burst / rate) * 1000, unit: 'requests', left: 0 },
    });
  }
}
