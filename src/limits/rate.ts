import type { Clock } from '../core/clock.ts';
import { formatDuration } from '../core/units.ts';
import { Keyed } from './keyed.ts';
import type { Names } from './names.ts';
import type { RequestOptions } from './options.ts';
import { refused } from './refusal.ts';
import { keyOf, type Subject } from './subject.ts';

/** Budgets of clients, users or hosts that are kept for one limit while they are not full. */
const KEYS_MAX = 100_000;
/** Rounding of doubles, in requests: a hundred billion of them per token. */
const ROUNDING = 1e-6;

/** How many requests may still come, at a time on the clock. */
interface Tokens {
  count: number;
  atMs: number;
}

interface RequestLimit {
  readonly id: string;
  name: string;
  options: RequestOptions;
  refused: number;
  readonly tokens: Keyed<Tokens>;
}

export interface RequestState {
  readonly kind: 'requests';
  readonly name: string;
  readonly per: RequestOptions['per'];
  /** Requests a second, and at once. */
  readonly rate: number;
  readonly burst: number;
  /** How many budgets are in use: one per client, user or host that has sent something lately. */
  readonly users: number;
  readonly refused: number;
}

const burstOf = ({ rate, burst }: RequestOptions): number => burst ?? Math.max(1, Math.floor(rate));

/** Requests a second, as token buckets: unlike a fixed window they let no double portion through at its edge. */
export class RequestRate {
  readonly #clock: Clock;
  #limits: readonly RequestLimit[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  names(): string[] {
    return this.#limits.map(({ name }) => name);
  }

  update(entries: readonly RequestOptions[], names: Names): void {
    const old = new Map(this.#limits.map((limit) => [limit.id, limit]));
    this.#limits = entries.map((options) => {
      const { id, name } = names.requests(options);
      const limit = old.get(id) ?? this.#make(id, name, options);
      return Object.assign(limit, { name, options });
    });
  }

  /** Counts one request, or throws `over_rate` and counts nothing. */
  count(subject: Subject): void {
    if (this.#limits.length === 0) return;
    const held = this.#limits.map((limit) => {
      const key = keyOf(limit.options.per, subject);
      const tokens = limit.tokens.hold(key, () => ({ count: burstOf(limit.options), atMs: this.#clock.now() }));
      this.#fill(limit, tokens);
      return { limit, key, tokens };
    });
    try {
      for (const { limit, key, tokens } of held) {
        if (tokens.count + ROUNDING < 1) throw this.#refusal(limit, key, tokens);
      }
      for (const { tokens } of held) tokens.count -= 1;
    } finally {
      for (const { limit, key } of held) limit.tokens.release(key);
    }
  }

  *describe(): Iterable<RequestState> {
    for (const { name, options, refused: refusals, tokens } of this.#limits) {
      const { per, rate } = options;
      yield { kind: 'requests', name, per, rate, burst: burstOf(options), users: tokens.size, refused: refusals };
    }
  }

  #make(id: string, name: string, options: RequestOptions): RequestLimit {
    const limit: RequestLimit = {
      id,
      name,
      options,
      refused: 0,
      tokens: new Keyed(KEYS_MAX, (tokens) => {
        this.#fill(limit, tokens);
        return tokens.count >= burstOf(limit.options);
      }),
    };
    return limit;
  }

  #fill({ options }: RequestLimit, tokens: Tokens): void {
    const nowMs = this.#clock.now();
    const gained = (Math.max(0, nowMs - tokens.atMs) * options.rate) / 1000;
    tokens.count = Math.min(burstOf(options), tokens.count + gained);
    tokens.atMs = nowMs;
  }

  #refusal(limit: RequestLimit, key: string, tokens: Tokens): Error {
    limit.refused++;
    const { rate } = limit.options;
    const burst = burstOf(limit.options);
    const pace = rate > 1 ? `${rate} requests a second` : `one request every ${formatDuration(1000 / rate)}`;
    return refused({
      code: 'over_rate',
      limit: limit.name,
      told: `limit "${limit.name}" allows ${pace}`,
      key,
      retryAfterMs: ((1 - tokens.count) / rate) * 1000,
      policy: { quota: burst, windowMs: (burst / rate) * 1000, unit: 'requests', left: 0 },
    });
  }
}
