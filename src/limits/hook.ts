import { askHook } from '../contracts/ask-hook.ts';
import { HookContext, type RequestContext } from '../contracts/context.ts';
import { awaitDecision } from '../contracts/deadline.ts';
import type { IdentifiedRequest } from '../contracts/stages.ts';
import { parseBytes, parseRate } from '../settings/units.ts';
import type { Clock } from '../util/clock.ts';
import { KEYS_MAX, KeyedPool } from './keyed-pool.ts';
import type { LimitDirection, Priority } from './options.ts';
import { Bucket } from './shaping/bucket.ts';
import { LocalRefill } from './shaping/refill.ts';
import { FillRate } from './token-bucket.ts';

/** A budget of bytes that requests with the same `key` share, in the same direction. */
export interface Budget {
  /** Whose it is, e.g. `user:alice`. It appears in logs as the name of a limit. */
  readonly key: string;
  /**
   * Bytes per second: a number, or for example `512KiB` or `4Mbit`. The rate of the latest call holds for all requests
   * that share the key, open ones included.
   */
  readonly rate: string | number;
  /** Bytes that may pass at once after a pause. Default: 200 ms of the rate. */
  readonly burst?: string | number | undefined;
  /** `background` takes only what other traffic leaves, in every budget that applies to the request. Default: `normal`. */
  readonly priority?: Priority | undefined;
}

/** The budgets that apply to one request, all at once, besides the limits of the configuration. */
export interface RequestBudgets {
  /** From the client. */
  readonly up?: readonly Budget[] | undefined;
  /** To the client. */
  readonly down?: readonly Budget[] | undefined;
  /** One shared budget for both directions. */
  readonly both?: readonly Budget[] | undefined;
}

/**
 * How fast? Called once for every request that the access rules allow, after the limits of the configuration have
 * admitted it. `undefined` or `null` sets no further limit. When it throws or returns anything else that is no budgets, the
 * client gets 500 `hook_failed`; when it throws a `ProxyError`, the client gets the response to that.
 */
export type LimitHook = (
  context: RequestContext,
) => RequestBudgets | null | undefined | Promise<RequestBudgets | null | undefined>;

/** A bucket that a request takes from besides those of `limits.bandwidth`. */
export interface ExtraBucket {
  readonly bucket: Bucket;
  readonly direction: LimitDirection;
  readonly priority: Priority;
}
/** The budgets that the hook has set for one request; disposing releases their buckets. */
export interface BudgetHold extends Disposable {
  readonly names: readonly string[];
  readonly buckets: readonly ExtraBucket[];
}

export const NO_BUDGETS: BudgetHold = { names: [], buckets: [], [Symbol.dispose]() {} };

const DIRECTIONS: readonly LimitDirection[] = ['up', 'down', 'both'];

/** The budgets of a program that embeds the proxy, by direction and key. */
export class HookBudgets {
  readonly #clock: Clock;
  readonly #hook: LimitHook;
  readonly #onRateChanged: (bucket: Bucket) => void;
  readonly #buckets: KeyedPool<Bucket>;

  /** `onRateChanged` is called after the rate of a bucket has changed. */
  constructor(clock: Clock, hook: LimitHook, onRateChanged: (bucket: Bucket) => void) {
    this.#clock = clock;
    this.#hook = hook;
    this.#onRateChanged = onRateChanged;
    this.#buckets = new KeyedPool(KEYS_MAX, (bucket) => bucket.isLikeNew(clock.now()));
  }

  /** Fails with `hook_failed`, or with the ProxyError that the hook threw. At once where the hook answers at once. */
  budgetsFor({ request, principal }: IdentifiedRequest): BudgetHold | Promise<BudgetHold> {
    const asked = askHook(
      'limit',
      () => this.#hook(new HookContext(request, principal)),
      (answer) => parseBudgets(answer),
    );
    if (!(asked instanceof Promise)) return this.#holdAll(asked);
    return awaitDecision(asked, { signal: request.signal, clock: this.#clock }, 'limit').then((budgets) =>
      this.#holdAll(budgets),
    );
  }

  #holdAll(budgets: readonly ParsedBudget[]): BudgetHold {
    if (budgets.length === 0) return NO_BUDGETS;
    const held = budgets.map(({ direction, budget, rate }) => {
      const id = `${direction} ${budget.key}`;
      return { id, direction, priority: budget.priority ?? 'normal', bucket: this.#hold(id, rate) };
    });
    return {
      names: [...new Set(budgets.map(({ budget }) => budget.key))],
      buckets: held,
      [Symbol.dispose]: () => {
        for (const { id, bucket } of held) {
          bucket.users--;
          this.#buckets.release(id);
        }
      },
    };
  }

  #hold(id: string, rate: FillRate): Bucket {
    const nowMs = this.#clock.now();
    const bucket = this.#buckets.hold(id, () => new Bucket(new LocalRefill(rate, nowMs), { bytes: 0 }, nowMs));
    bucket.users++;
    bucket.setRate(rate, nowMs);
    this.#onRateChanged(bucket);
    return bucket;
  }
}

interface ParsedBudget {
  readonly direction: LimitDirection;
  readonly budget: Budget;
  readonly rate: FillRate;
}

/**
 * A program may be written in JavaScript, so that this may be anything. What is not known is refused: a word that is spelled
 * wrong would leave its client without a limit.
 */
function parseBudgets(answer: RequestBudgets | null | undefined): readonly ParsedBudget[] {
  if (answer === null || answer === undefined) return [];
  if (typeof answer !== 'object') throw new TypeError(`returned a ${typeof answer}; ${WRITE_BUDGETS}`);
  checkKeys('what it returned', answer, DIRECTIONS);
  return DIRECTIONS.flatMap((direction) => {
    const budgets = answer[direction] ?? [];
    if (!Array.isArray(budgets)) throw new TypeError(`${direction} is no list; ${WRITE_BUDGETS}`);
    return budgets.map((budget) => parseBudget(direction, budget));
  });
}

const WRITE_BUDGETS = "write { down: [{ key: 'all', rate: '1MiB' }] }";
const BUDGET_KEYS = ['key', 'rate', 'burst', 'priority'] as const satisfies readonly (keyof Budget)[];
const PRIORITIES: readonly unknown[] = ['normal', 'background', undefined] satisfies readonly (Priority | undefined)[];

function parseBudget(direction: LimitDirection, budget: Budget): ParsedBudget {
  if (typeof budget !== 'object' || budget === null) throw new TypeError(`${direction}: no budget; ${WRITE_BUDGETS}`);
  checkKeys(`a budget under ${direction}`, budget, BUDGET_KEYS);
  if (typeof budget.key !== 'string' || budget.key === '') throw new Error(`a budget under ${direction} has no key`);
  if (!PRIORITIES.includes(budget.priority))
    throw new Error(`the priority of the budget ${budget.key} is neither normal nor background`);
  const burst = budget.burst === undefined ? undefined : parseBytes(budget.burst);
  return { direction, budget, rate: new FillRate(parseRate(budget.rate), burst) };
}

function checkKeys(what: string, value: object, known: readonly string[]): void {
  for (const key in value) {
    if (!known.includes(key)) throw new TypeError(`${what} has an unknown key ${key}; known here: ${known.join(', ')}`);
  }
}
