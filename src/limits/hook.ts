import type { Clock } from '../core/clock.ts';
import { contextOf, type RequestContext } from '../core/context.ts';
import { decided } from '../core/deadline.ts';
import { ProxyError } from '../core/failure.ts';
import type { Identified } from '../core/stages.ts';
import { parseBytes, parseRate } from '../core/units.ts';
import { Bucket, type Pace } from './bucket.ts';
import { Keyed } from './keyed.ts';
import type { LimitDirection, Priority } from './options.ts';

/** A budget of bytes that requests with the same `key` share, in the same direction. */
export interface Budget {
  /** Whose it is, e.g. `user:alice`. It appears in logs as the name of a limit. */
  readonly key: string;
  /**
   * Bytes per second: a number, or for example `512KiB` or `4Mbit`. What the latest call said holds for all who share
   * the key, open requests included.
   */
  readonly rate: string | number;
  /** Bytes that may pass at once after a pause. Default: 200 ms of the rate. */
  readonly burst?: string | number | undefined;
  /** `background` takes only what the rest leaves, in every budget that the request passes under. Default: `normal`. */
  readonly priority?: Priority | undefined;
}

/** The budgets that one request passes under, all at once, besides the limits of the configuration. */
export interface RequestBudgets {
  /** From the client. */
  readonly up?: readonly Budget[] | undefined;
  /** To the client. */
  readonly down?: readonly Budget[] | undefined;
  /** One shared budget for both directions. */
  readonly both?: readonly Budget[] | undefined;
}

/**
 * How fast? Asked once for every request that the rules have allowed, when it has its place among the tunnels.
 * Nothing (`undefined` or `null`) sets no further limit. A throw, or a rate that is none, answers 500 `hook_failed`;
 * a `ProxyError` answers what it says.
 */
export type LimitHook = (
  context: RequestContext,
) => RequestBudgets | null | undefined | Promise<RequestBudgets | null | undefined>;

/** A bucket that a request passes under for another reason than the configuration. */
export interface ExtraBucket {
  readonly bucket: Bucket;
  readonly direction: LimitDirection;
  readonly priority: Priority;
}
/** What the hook has said about one request; disposing gives its buckets back. */
export interface BudgetHold extends Disposable {
  readonly names: readonly string[];
  readonly buckets: readonly ExtraBucket[];
}

export const NO_BUDGETS: BudgetHold = { names: [], buckets: [], [Symbol.dispose]() {} };

/** Buckets of keys that are kept while they are not in use and not yet full. */
const KEYS_MAX = 100_000;
const DIRECTIONS: readonly LimitDirection[] = ['up', 'down', 'both'];

/** The budgets of a program that embeds the proxy, by direction and key. */
export class HookBudgets {
  readonly #clock: Clock;
  readonly #hook: LimitHook;
  readonly #repaced: (bucket: Bucket) => void;
  readonly #buckets: Keyed<Bucket>;

  /** `repaced` is called after the rate of a bucket has changed. */
  constructor(clock: Clock, hook: LimitHook, repaced: (bucket: Bucket) => void) {
    this.#clock = clock;
    this.#hook = hook;
    this.#repaced = repaced;
    this.#buckets = new Keyed(KEYS_MAX, (bucket) => bucket.isFull(clock.now()));
  }

  /** Rejects with `hook_failed`, or with the ProxyError that the hook threw. */
  async ask(from: Identified): Promise<BudgetHold> {
    const wanted = await this.#answer(from);
    const held = wanted.map(({ direction, budget, pace }) => {
      const id = `${direction} ${budget.key}`;
      return { id, direction, priority: budget.priority ?? 'normal', bucket: this.#hold(id, pace) };
    });
    return {
      names: [...new Set(wanted.map(({ budget }) => budget.key))],
      buckets: held,
      [Symbol.dispose]: () => {
        for (const { id, bucket } of held) {
          bucket.users--;
          this.#buckets.release(id);
        }
      },
    };
  }

  async #answer(from: Identified): Promise<readonly Wanted[]> {
    try {
      const answer = await decided(Promise.resolve(this.#hook(contextOf(from))), from.request.signal, this.#clock);
      return DIRECTIONS.flatMap((direction) =>
        (answer?.[direction] ?? []).map((budget) => wantedOf(direction, budget)),
      );
    } catch (cause) {
      if (cause instanceof ProxyError) throw cause;
      throw new ProxyError('hook_failed', `limit hook: ${cause instanceof Error ? cause.message : 'threw'}`, { cause });
    }
  }

  #hold(id: string, pace: Pace): Bucket {
    const nowMs = this.#clock.now();
    const bucket = this.#buckets.hold(id, () => new Bucket(pace, { bytes: 0 }, nowMs));
    bucket.users++;
    bucket.setPace(pace, nowMs);
    this.#repaced(bucket);
    return bucket;
  }
}

interface Wanted {
  readonly direction: LimitDirection;
  readonly budget: Budget;
  readonly pace: Pace;
}

function wantedOf(direction: LimitDirection, budget: Budget): Wanted {
  if (typeof budget.key !== 'string' || budget.key === '') throw new Error(`a budget under ${direction} has no key`);
  const burst = budget.burst === undefined ? undefined : parseBytes(budget.burst);
  return { direction, budget, pace: { rate: parseRate(budget.rate), burst } };
}
