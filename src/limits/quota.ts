import type { Clock } from '../core/clock.ts';
import { formatBytes, formatDuration } from '../core/units.ts';
import { Counter, type Kept, type KeptQuotas } from './counter.ts';
import type { Allowance } from './flow.ts';
import type { ExtraBucket } from './hook.ts';
import { Keyed } from './keyed.ts';
import type { Names } from './names.ts';
import type { QuotaOptions } from './options.ts';
import { refused } from './refusal.ts';
import { keyOf, type Subject } from './subject.ts';

/**
 * Clients, users or hosts that are counted for one quota; beyond that whoever has been away longest starts anew.
 * All of them are written to the state file at once, which takes about 10 ms for so many.
 */
export const KEYS_MAX = 20_000;

class QuotaLimit {
  readonly id: string;
  name = '';
  refused = 0;
  options: QuotaOptions;
  readonly counters: Keyed<Counter>;

  constructor(id: string, options: QuotaOptions, clock: Clock) {
    this.id = id;
    this.options = options;
    this.counters = new Keyed(KEYS_MAX, (counter) => counter.isOver(clock.wallMs()));
  }
}

export interface QuotaState {
  readonly kind: 'quota';
  readonly name: string;
  readonly per: QuotaOptions['per'];
  readonly max: bigint;
  readonly everyMs: number;
  readonly refused: number;
  /** What each client, user or host has used in its period, most first; at most `USERS_SHOWN`. */
  readonly users: readonly { readonly key: string; readonly used: bigint; readonly resetsAt: Date }[];
}
/** Of a hundred thousand keys a person reads a page. */
const USERS_SHOWN = 100;

/** A quota that was held for one request: counted by its gates, given back at its end. */
export interface QuotaHold extends Disposable {
  readonly counters: readonly Allowance[];
  /** Where the bytes are lent: taken from here, and only at the very end from the counters. */
  readonly buckets?: readonly ExtraBucket[];
}

const NOTHING_HELD: QuotaHold = { counters: [], [Symbol.dispose]() {} };

/** Bytes per period, both directions together. A period begins with the first use after the last one ended. */
export class Quotas {
  readonly #clock: Clock;
  readonly #changed: () => void;
  #limits: readonly QuotaLimit[] = [];
  /** Reads what was kept across the restart, when the first quota is set. */
  #load: (() => KeptQuotas) | undefined;

  /** `changed` is called whenever there is something new to keep. */
  constructor(clock: Clock, load: () => KeptQuotas, changed: () => void) {
    this.#clock = clock;
    this.#load = load;
    this.#changed = changed;
  }

  names(): string[] {
    return this.#limits.map(({ name }) => name);
  }

  ids(): { readonly id: string; readonly per: QuotaOptions['per'] }[] {
    return this.#limits.map(({ id, options: { per } }) => ({ id, per }));
  }

  /** The counter of one key, for whoever lends its bytes; `undefined` where there is no such quota. */
  open(id: string, key: string): (Disposable & { readonly counter: Counter }) | undefined {
    const limit = this.#limits.find((one) => one.id === id);
    if (limit === undefined) return undefined;
    const counter = limit.counters.hold(key, () => this.#counter(limit.options));
    return { counter, [Symbol.dispose]: () => limit.counters.release(key) };
  }

  update(entries: readonly QuotaOptions[], names: Names): void {
    const kept = entries.length > 0 ? this.#load?.() : undefined;
    if (entries.length > 0) this.#load = undefined;
    const old = new Map(this.#limits.map((limit) => [limit.id, limit]));
    this.#limits = entries.map((options) => {
      const { id, name } = names.quota(options);
      const limit = old.get(id) ?? this.#make(id, options, kept);
      limit.name = name;
      limit.options = options;
      for (const counter of limit.counters.values()) counter.adopt(options);
      return limit;
    });
  }

  /** Throws `over_rate` when a quota of this request is used up. Counts nothing. */
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

  /** Everything that is still counted, for the file. */
  snapshot(): KeptQuotas {
    const nowMs = this.#clock.wallMs();
    return new Map(
      this.#limits.map(({ id, counters }) => {
        counters.prune();
        const live = [...counters.entries()].filter(([, counter]) => !counter.isOver(nowMs));
        return [id, new Map(live.map(([key, counter]) => [key, counter.kept()]))] as const;
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

  #counter(options: QuotaOptions, kept?: Kept): Counter {
    return new Counter(this.#clock, options, this.#changed, kept);
  }

  #make(id: string, options: QuotaOptions, kept: KeptQuotas | undefined): QuotaLimit {
    const limit = new QuotaLimit(id, options, this.#clock);
    for (const [key, one] of kept?.get(id) ?? []) limit.counters.restore(key, this.#counter(options, one));
    return limit;
  }

  #refusal(limit: QuotaLimit, key: string, counter: Counter): Error {
    limit.refused++;
    const { bytes, every } = limit.options;
    const resetsAtMs = counter.resetsAtMs();
    const waitMs = counter.waitMs();
    const resets = `${new Date(resetsAtMs).toISOString().slice(0, 16).replace('T', ' ')} UTC, in ${formatDuration(waitMs)}`;
    return refused({
      code: 'over_rate',
      limit: limit.name,
      told: `limit "${limit.name}" allows ${formatBytes(bytes)} every ${formatDuration(every)}: 0B are left; it resets at ${resets}`,
      key,
      retryAfterMs: waitMs,
      policy: { quota: bytes, windowMs: every, unit: 'content-bytes', left: 0 },
    });
  }
}
