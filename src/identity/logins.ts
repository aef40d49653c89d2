import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { clientKeyOf } from '../protocol/addresses/client-key.ts';
import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';
import type { Credentials, Verify, VerifyContext } from './basic.ts';
import { FairQueue } from './fair-queue.ts';
import { isTooLong } from './lengths.ts';
import { SharedWork } from './shared-work.ts';
import { comparerOf, type Users } from './users.ts';

/** A right pair is compared again when it was not used for so long: after a lunch break it is still known. */
export const UNUSED_MS_MAX = 60 * 60_000;
/** A wrong pair is compared again after this long. */
export const REFUSED_MS = 60_000;
/** Pairs kept, right and wrong ones apart: guesses cannot push the right ones out. */
export const ACCEPTED_MAX = 4096;
export const REFUSED_MAX = 1024;

type VerifyResult = { readonly id: string } | null;

interface CachedResult {
  readonly result: VerifyResult;
  /** The hash that it was compared with: with another one it is compared again. */
  readonly hash: string;
  /** Of a right pair, its last use. */
  sinceMs: number;
}

export interface OtherAttempt extends VerifyContext {
  readonly user: string;
}

/** For a name that no user has. */
const NO_HASH = '';

/**
 * Results for pairs of name and password, and the queue of pairs that have to be compared. It outlives reloads: a result
 * holds while the hash of its user stays the same, and a pair that was right before is compared ahead of others. Pairs are
 * kept as digests with a key of this process, so that neither a memory dump nor a table of digests reveals a password. A
 * comparison that fails is not remembered.
 */
export class Logins {
  readonly #clock: Clock;
  // As a key object, which makes a digest six times as fast as the same bytes in a buffer.
  readonly #key: KeyObject = createSecretKey(randomBytes(32));
  readonly #accepted = new LruMap<string, CachedResult>(ACCEPTED_MAX);
  readonly #refused = new LruMap<string, CachedResult>(REFUSED_MAX);
  readonly #queue: FairQueue;
  /** Comparisons under way: requests with the same pair from the same client share one. */
  readonly #underway = new Map<string, SharedWork<VerifyResult>>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#queue = new FairQueue(clock);
  }

  /** A verifier of the passwords of `users`. */
  verifier(users: Users): Verify {
    const comparer = comparerOf(users);
    return (credentials, { client, signal }) => {
      const { username, password } = credentials;
      if (isTooLong(username, password)) return null;
      const pair = this.#digest(credentials);
      const hash = users.get(username)?.text ?? NO_HASH;
      const right = this.#accepted.get(pair);
      if (right !== undefined && this.#isFresh(right, hash, UNUSED_MS_MAX)) {
        right.sinceMs = this.#clock.now();
        return right.result;
      }
      const compare = async (): Promise<VerifyResult> => {
        const known = this.#cached(pair, hash);
        if (known !== undefined) return known.result;
        const result = (await comparer.isRight(username, password)) ? { id: username } : null;
        this.#cache(pair, result, hash);
        return result;
      };
      const block = clientKeyOf(client.address);
      const attempt = {
        client: block,
        user: username,
        pair: right === undefined ? 'unknown' : 'known',
        costUs: comparer.costUs,
      } as const;
      const name = right === undefined ? `${block}\0${pair}` : pair;
      return SharedWork.join(this.#underway, name, signal, (stop) => this.#queue.run(attempt, compare, stop));
    };
  }

  /**
   * Runs a comparison that is of no pair, such as a Digest response, when it is the turn of its client and user: its wrong
   * ones count as those of passwords do. Rejects as the queue does.
   */
  async attempt({ client, user, signal }: OtherAttempt, isRight: () => boolean): Promise<boolean> {
    const attempt = { client: clientKeyOf(client.address), user, pair: 'unknown', costUs: 1 } as const;
    return (await this.#queue.run(attempt, async () => isRight() || null, signal)) !== null;
  }

  /** A result that came while a comparison waited, or a wrong one that is remembered. */
  #cached(pair: string, hash: string): CachedResult | undefined {
    const right = this.#accepted.get(pair);
    if (right !== undefined && this.#isFresh(right, hash, UNUSED_MS_MAX)) return right;
    const wrong = this.#refused.get(pair);
    return wrong !== undefined && this.#isFresh(wrong, hash, REFUSED_MS) ? wrong : undefined;
  }

  #isFresh(cached: CachedResult, hash: string, ageMsMax: number): boolean {
    return cached.hash === hash && this.#clock.now() - cached.sinceMs < ageMsMax;
  }

  #cache(pair: string, result: VerifyResult, hash: string): void {
    this.#accepted.delete(pair);
    this.#refused.delete(pair);
    (result === null ? this.#refused : this.#accepted).set(pair, { result, hash, sinceMs: this.#clock.now() });
  }

  /** With a NUL between the two, which neither of them may contain. */
  #digest({ username, password }: Credentials): string {
    return createHmac('sha256', this.#key).update(`${username}\0${password}`).digest('base64');
  }
}
