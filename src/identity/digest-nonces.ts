import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';

/** A client asks again without a person when its nonce is older. */
export const NONCE_MS = 5 * 60_000;
/** Nonces in use whose counts are kept; one that gives way to another is stale, and so are older ones that are not kept. */
export const NONCES_MAX = 4_096;
/** Requests in parallel may arrive out of order by so many. */
const WINDOW = 32;

const TIME_BYTES = 6;
const RANDOM_BYTES = 10;
const TAG_BYTES = 16;
const NONCE_BYTES = TIME_BYTES + RANDOM_BYTES + TAG_BYTES;

interface UsedNonce {
  readonly issuedMs: number;
  /** Another user cannot go on with it. */
  readonly user: string;
  highest: number;
  /** Bit n: `highest - n` was used. */
  seen: number;
}

/** Who uses a nonce: `client` is the key of its address. */
export interface NonceOwner {
  readonly client: string;
  readonly user: string;
}

/** `stale`: a new nonce is needed, and nothing else. */
export type NonceUse = 'fresh' | 'stale';

/**
 * Nonces of Digest (RFC 7616 §3.3): a time and a tag that only a holder of the key can make, so that nothing is kept of a
 * nonce before it was used with a right password. Processes with the same key accept one another's, since the client of a
 * refused CONNECT comes back on another connection, which may be another process's; and each counts the uses by itself. So
 * a nonce is good for the client alone that it was given to: to others it is one of an unknown key.
 */
export class DigestNonces {
  readonly #key: KeyObject;
  readonly #clock: Clock;
  readonly #used = new LruMap<string, UsedNonce>(NONCES_MAX, ({ issuedMs }) => {
    this.#forgottenMs = Math.max(this.#forgottenMs, issuedMs);
  });
  /** Nonces up to this time may have been used, and nothing is known of it any more. */
  #forgottenMs = 0;

  constructor(key: Buffer, clock: Clock) {
    this.#key = createSecretKey(createHmac('sha256', key).update('nonces of Digest').digest());
    this.#clock = clock;
  }

  /** `client`: the key of its address. */
  issue(client: string): string {
    const head = Buffer.alloc(TIME_BYTES + RANDOM_BYTES);
    head.writeUIntBE(this.#clock.wallMs(), 0, TIME_BYTES);
    randomBytes(RANDOM_BYTES).copy(head, TIME_BYTES);
    return Buffer.concat([head, this.#tag(head, client)]).toString('base64url');
  }

  /** Whether this user has used the nonce before on that client, with a right password. */
  isKnown(nonce: string, { client, user }: NonceOwner): boolean {
    return this.#used.peek(nonce)?.user === user && this.#issuedMs(nonce, client) !== undefined;
  }

  /** Counts a use with a right password. */
  use(nonce: string, count: number, { client, user }: NonceOwner): NonceUse {
    const issuedMs = this.#issuedMs(nonce, client);
    if (issuedMs === undefined || this.#clock.wallMs() - issuedMs > NONCE_MS) return 'stale';
    const used = this.#used.get(nonce);
    if (used === undefined) {
      if (issuedMs <= this.#forgottenMs) return 'stale';
      this.#used.set(nonce, { issuedMs, user, highest: count, seen: 1 });
      return 'fresh';
    }
    return used.user === user && isNew(used, count) ? 'fresh' : 'stale';
  }

  /** The same answer for the same text, for as long as the key lives, and no other way to know it. */
  coin(text: string): boolean {
    return ((createHmac('sha256', this.#key).update(`coin ${text}`).digest()[0] ?? 0) & 1) === 1;
  }

  /** `undefined`: it is none of ours for this client. */
  #issuedMs(nonce: string, client: string): number | undefined {
    const bytes = Buffer.from(nonce, 'base64url');
    if (bytes.length !== NONCE_BYTES || bytes.toString('base64url') !== nonce) return undefined;
    const head = bytes.subarray(0, TIME_BYTES + RANDOM_BYTES);
    if (!timingSafeEqual(this.#tag(head, client), bytes.subarray(head.length))) return undefined;
    return head.readUIntBE(0, TIME_BYTES);
  }

  #tag(head: Buffer, client: string): Buffer {
    return createHmac('sha256', this.#key).update(head).update(client).digest().subarray(0, TAG_BYTES);
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
