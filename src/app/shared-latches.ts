import { createHmac } from 'node:crypto';
import { secretOf } from '../files/secret-of-origin.ts';
import type { LimitsOptions } from '../limits/options.ts';
import type { StoreLimits } from '../limits/store/store-limits.ts';
import type { StoreTable } from '../limits/store/store-table.ts';
import { type Latch, type Latches, latchSchema } from '../upstream-auth/latch-file.ts';
import type { LoginKey } from '../upstream-auth/login-attempt.ts';

/** What instances need to share rejected passwords. */
export interface LatchSharing {
  /** Key of the ids of credentials: with the same one all instances make the same ids, which mean nothing without it. */
  readonly idKey: Buffer;
  /** `own`: those of this instance, which hold without the store. */
  latches(own: Latches | undefined): Latches;
}

/**
 * The store never has a password, nor what a digest of one would tell: a latch is kept under the upstream proxy and the
 * HMAC of account and secret under `limits.storeSecret`. `undefined`: each instance finds out by itself.
 */
export function latchSharing(
  { storeSecret }: LimitsOptions,
  store: StoreLimits | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): LatchSharing | undefined {
  if (storeSecret === undefined || store === undefined) return undefined;
  const key = secretOf(storeSecret, environment).reveal();
  return {
    idKey: createHmac('sha256', key).update('viaduct: ids of credentials').digest(),
    latches: (own) => new SharedLatches(own, store.table('latches')),
  };
}

class SharedLatches implements Latches {
  readonly #own: Latches | undefined;
  readonly #table: StoreTable;

  constructor(own: Latches | undefined, table: StoreTable) {
    this.#own = own;
    this.#table = table;
  }

  of(secret: string): ReadonlyMap<string, Latch> {
    return this.#own?.of(secret) ?? new Map();
  }

  set(key: LoginKey, latch: Latch | undefined): void {
    this.#own?.set(key, latch);
    this.#table.set(fieldOf(key), latch && JSON.stringify(latch));
  }

  clear(): void {
    this.#own?.clear();
    this.#table.clear();
  }

  async look(key: LoginKey): Promise<Latch | undefined> {
    const written = await this.#table.get(fieldOf(key));
    if (written === undefined) return undefined;
    try {
      return latchSchema.parse(JSON.parse(written));
    } catch {
      // Another program writes under these keys.
      return undefined;
    }
  }
}

const fieldOf = ({ proxy, secret }: LoginKey): string => `${proxy} ${secret}`;
