import { LruMap } from '../util/lru-map.ts';

/** Nonces in use whose counts are kept; one that gives way to another is stale, and so are older ones that are not kept. */
export const NONCES_MAX = 4_096;
/** Requests in parallel may arrive out of order by so many. */
const WINDOW = 32;

/** One use of a nonce that is ours, with a right password. */
export interface CountedUse {
  readonly nonce: string;
  readonly issuedMs: number;
  /** Another user cannot go on with it. */
  readonly user: string;
  /** `nc` of RFC 7616 §3.4. */
  readonly count: number;
}

/** `stale`: a new nonce is needed, and nothing else. */
export type NonceUse = 'fresh' | 'stale';

/** Sees to it that each count of a nonce is used once. */
export interface NonceCounter {
  /** Whether this user is known to have used the nonce before. */
  isKnown(nonce: string, user: string): boolean;
  use(use: CountedUse): NonceUse | Promise<NonceUse>;
}

interface UsedNonce {
  readonly issuedMs: number;
  readonly user: string;
  highest: number;
  /** Bit n: `highest - n` was used. */
  seen: number;
}

/** Of one process, or of the primary for all of its workers. */
export class LocalNonceCounter implements NonceCounter {
  readonly #used = new LruMap<string, UsedNonce>(NONCES_MAX, ({ issuedMs }) => {
    this.#forgottenMs = Math.max(this.#forgottenMs, issuedMs);
  });
  /** Nonces up to this time may have been used, and nothing is known of it any more. */
  #forgottenMs = 0;

  isKnown(nonce: string, user: string): boolean {
    return this.#used.peek(nonce)?.user === user;
  }

  use({ nonce, issuedMs, user, count }: CountedUse): NonceUse {
    const used = this.#used.get(nonce);
    if (used !== undefined) return used.user === user && isNew(used, count) ? 'fresh' : 'stale';
    if (issuedMs <= this.#forgottenMs) return 'stale';
    this.#used.set(nonce, { issuedMs, user, highest: count, seen: 1 });
    return 'fresh';
  }
}

/** Marks a count as used; false where it was, or is so old that nothing is known of it. */
function isNew(used: UsedNonce, count: number): boolean {
  const ahead = count - used.highest;
  if (ahead > 0) {
    used.seen = ahead >= WINDOW ? 1 : ((used.seen << ahead) | 1) >>> 0;
    used.highest = count;
    return true;
  }
  if (-ahead >= WINDOW) return false;
  const bit = (1 << -ahead) >>> 0;
  if ((used.seen & bit) !== 0) return false;
  used.seen = (used.seen | bit) >>> 0;
  return true;
}
