import { formatBytes, formatDuration } from '../../settings/units.ts';
import type { Clock } from '../../util/clock.ts';
import type { ExtraBucket } from '../hook.ts';
import type { LimitIds } from '../ids.ts';
import { KeyedPool } from '../keyed-pool.ts';
import type { QuotaState } from '../limit-state.ts';
import type { QuotaOptions } from '../options.ts';
import type { QuotaBudget } from '../quota-budget.ts';
import { refusalError } from '../refusal.ts';
import { keyOf, type Subject } from '../subject.ts';
import { QuotaCounter, type SavedQuotas, type SavedUsage } from './quota-counter.ts';

/**
 * Clients, users or hosts that are counted for one quota; beyond that the count of the one unused longest is forgotten.
 * All of them are written to the state file at once, which takes about 10 ms for so many.
 */
export const QUOTA_KEYS_MAX = 20_000;

class QuotaLimit {
  readonly id: string;
  name = '';
  refused = 0;
  options: QuotaOptions;
  readonly counters: KeyedPool<QuotaCounter>;

  constructor(id: string, options: QuotaOptions, clock: Clock) {
    this.id = id;
    this.options = options;
    this.counters = new KeyedPool(QUOTA_KEYS_MAX, (counter) => counter.isOver(clock.wallMs()));
  }
}

/** Users in a description: of thousands of keys a person reads a page. */
const USERS_SHOWN = 100;

/** The quotas of one request: its gates count by them, and release them at its end. */
export interface QuotaHold extends Disposable {
  readonly counters: readonly QuotaBudget[];
  /** Where bytes are leased: gates take them from here, and from the counters only when no more come. */
  readonly buckets?: readonly ExtraBucket[];
}

export const NOTHING_HELD: QuotaHold = { counters: [], [Symbol.dispose]() {} };

/** Bytes per period, both directions together. A period begins with the first byte after the last one ended. */
export class Quotas {
  readonly #clock: Clock;
  readonly #onChanged: () => void;
  #limits: readonly QuotaLimit[] = [];
  /** Reads the state file, when the first quota is set. */
  #load: (() => SavedQuotas) | undefined;

  /** `onChanged` is called whenever a count has changed. */
  constructor(clock: Clock, load: () => SavedQuotas, onChanged: () => void) {
    this.#clock = clock;
    this.#load = load;
    this.#onChanged = onChanged;
  }

  names(): string[] {
    return this.#limits.map(({ name }) => name);
  }

  ids(): { readonly id: string; readonly per: QuotaOptions['per'] }[] {
    return this.#limits.map(({ id, options: { per } }) => ({ id, per }));
  }

  /** The counter of one key, for the allocator that leases its bytes; `undefined` where there is no such quota. */
  open(id: string, key: string): (Disposable & { readonly counter: QuotaCounter }) | undefined {
    const limit = this.#limits.find((one) => one.id === id);
    if (limit === undefined) return undefined;
    const counter = limit.counters.hold(key, () => this.#counter(limit.options));
    return { counter, [Symbol.dispose]: () => limit.counters.release(key) };
  }

  update(entries: readonly QuotaOptions[], limitIds: LimitIds): void {
    const saved = entries.length > 0 ? this.#load?.() : undefined;
    if (entries.length > 0) this.#load = undefined;
    const old = new Map(this.#limits.map((limit) => [limit.id, limit]));
    this.#limits = entries.map((options) => {
      const { id, name } = limitIds.quota(options);
      const limit = old.get(id) ?? this.#make(id, options, saved);
      limit.name = name;
      limit.options = options;
      for (const counter of limit.counters.values()) counter.adopt(options);
      return limit;
    });
  }

  /** Throws `quota_exceeded` when a quota of this request is used up. Counts nothing. */
  check(subject: Subject): void {
    for (const limit of this.#limits) {
      const key = keyOf(limit.options.per, subject);
      const counter = limit.counters.peek(key);
      if (counter && counter.left() === 0) throw this.#refusal(limit, key, counter);
    }
  }

  hold(subject: Subject): QuotaHold {
    if (this.#limits.length === 0) return NOTHING_HELD;
    const held = this.#limits.map((limit) => {
      const key = keyOf(limit.options.per, subject);
      return { limit, key, counter: limit.counters.hold(key, () => this.#counter(limit.options)) };
    });
    return {
      counters: held.map(({ counter }) => counter),
      [Symbol.dispose]: () => {
        for (const { limit, key } of held) limit.counters.release(key);
      },
    };
  }

  /** All counts of periods that have not ended, for the state file. */
  snapshot(): SavedQuotas {
    const nowMs = this.#clock.wallMs();
    return new Map(
      this.#limits.map(({ id, counters }) => {
        counters.prune();
        const live = [...counters.entries()].filter(([, counter]) => !counter.isOver(nowMs));
        return [id, new Map(live.map(([key, counter]) => [key, counter.snapshot()]))] as const;
      }),
    );
  }

  *describe(): Iterable<QuotaState> {
    for (const { name, options, counters, refused: refusals } of this.#limits) {
      const users = [...counters.entries()]
        .map(([key, counter]) => ({ key, used: counter.used(), resetsAt: new Date(counter.resetsAtMs()) }))
        .sort((a, b) => Number(b.used - a.used))
        .slice(0, USERS_SHOWN);
      const { per, bytes, every } = options;
      yield { kind: 'quota', name, per, max: BigInt(bytes), everyMs: every, refused: refusals, users };
    }
  }

  #counter(options: QuotaOptions, saved?: SavedUsage): QuotaCounter {
    return new QuotaCounter(this.#clock, options, this.#onChanged, saved);
  }

  #make(id: string, options: QuotaOptions, saved: SavedQuotas | undefined): QuotaLimit {
    const limit = new QuotaLimit(id, options, this.#clock);
    for (const [key, one] of saved?.get(id) ?? []) limit.counters.restore(key, this.#counter(options, one));
    return limit;
  }

  #refusal(limit: QuotaLimit, key: string, counter: QuotaCounter): Error {
    limit.refused++;
    return quotaRefusal(limit, key, { resetsAtMs: counter.resetsAtMs(), waitMs: counter.waitMs() });
  }
}

/** `resetsAtMs` is on the wall clock. */
export function quotaRefusal(
  { name, options: { bytes, every } }: { readonly name: string; readonly options: QuotaOptions },
  key: string,
  { resetsAtMs, waitMs }: { readonly resetsAtMs: number; readonly waitMs: number },
): Error {
  const resets = `${new Date(resetsAtMs).toISOString().slice(0, 16).replace('T', ' ')} UTC, in ${formatDuration(waitMs)}`;
  return refusalError({
    code: 'quota_exceeded',
    limit: name,
    clientDetail: `limit "${name}" allows ${formatBytes(bytes)} every ${formatDuration(every)}: 0B are left; it resets at ${resets}`,
    key,
    retryAfterMs: waitMs,
    policy: { quota: bytes, windowMs: every, unit: 'content-bytes', left: 0 },
  });
}
