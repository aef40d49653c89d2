import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../util/clock.ts';
import type { NonceCounter, NonceUse } from './nonce-counter.ts';

/** A client asks again without a person when its nonce is older. */
export const NONCE_MS = 5 * 60_000;

const TIME_BYTES = 6;
const RANDOM_BYTES = 10;
const TAG_BYTES = 16;
const NONCE_BYTES = TIME_BYTES + RANDOM_BYTES + TAG_BYTES;

/** Who uses a nonce: `client` is the key of its address. */
export interface NonceOwner {
  readonly client: string;
  readonly user: string;
}

export interface DigestNoncesOptions {
  /** Of this proxy, the same after a restart. */
  readonly key: Buffer;
  /** Differs with each start, and is the same in all processes: what was used before a restart is known to none of them. */
  readonly run: string;
  readonly clock: Clock;
  readonly counter: NonceCounter;
}

/**
 * Nonces of Digest (RFC 7616 §3.3): a time and a tag that only a holder of the key can make, so that nothing is kept of a
 * nonce before it was used with a right password. Processes with the same key accept one another's, since the client of a
 * refused CONNECT comes back on another connection, which may be another process's; their uses are counted in one place.
 * A nonce is good for the client alone that it was given to: to others it is one of an unknown key.
 */
export class DigestNonces {
  readonly #key: KeyObject;
  readonly #coinKey: KeyObject;
  readonly #clock: Clock;
  readonly #counter: NonceCounter;

  constructor({ key, run, clock, counter }: DigestNoncesOptions) {
    const derived = (purpose: string) => createSecretKey(createHmac('sha256', key).update(purpose).digest());
    this.#key = derived(`nonces of Digest, ${run}`);
    this.#coinKey = derived('coins of Digest');
    this.#clock = clock;
    this.#counter = counter;
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
    return this.#counter.isKnown(nonce, user) && this.#issuedMs(nonce, client) !== undefined;
  }

  /** Counts a use with a right password. */
  use(nonce: string, count: number, { client, user }: NonceOwner): NonceUse | Promise<NonceUse> {
    const issuedMs = this.#issuedMs(nonce, client);
    if (issuedMs === undefined || this.#clock.wallMs() - issuedMs > NONCE_MS) return 'stale';
    return this.#counter.use({ nonce, issuedMs, user, count });
  }

  /** The same answer for the same text, for as long as the key lives, and no other way to know it. */
  coin(text: string): boolean {
    return ((createHmac('sha256', this.#coinKey).update(`coin ${text}`).digest()[0] ?? 0) & 1) === 1;
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
