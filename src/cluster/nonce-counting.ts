import { type CountedUse, NONCES_MAX, type NonceCounter, type NonceUse } from '../identity/nonce-counter.ts';
import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';

/** A client whose nonce the primary does not judge in this time is asked again, with a new one. */
const ANSWER_MS = 2_000;

export interface NonceRequest {
  readonly n: number;
  readonly use: CountedUse;
}
export interface NonceResponse {
  readonly n: number;
  readonly use: NonceUse;
}

/**
 * In a worker: the primary counts the uses of nonces, for all workers together. What a client has sent to one worker could
 * otherwise be repeated at each of the others.
 */
export class NonceClient implements NonceCounter {
  readonly #clock: Clock;
  readonly #send: (request: NonceRequest) => void;
  /** Users by the nonces that they have used here. */
  readonly #known = new LruMap<string, string>(NONCES_MAX);
  readonly #pending = new Map<number, (use: NonceUse) => void>();
  #last = 0;

  constructor(clock: Clock, send: (request: NonceRequest) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  isKnown(nonce: string, user: string): boolean {
    return this.#known.peek(nonce) === user;
  }

  async use(use: CountedUse): Promise<NonceUse> {
    const n = ++this.#last;
    const { promise, resolve } = Promise.withResolvers<NonceUse>();
    this.#pending.set(n, resolve);
    using _timer = this.#clock.after(ANSWER_MS, () => resolve('stale'));
    this.#send({ n, use });
    const found = await promise;
    this.#pending.delete(n);
    if (found === 'fresh') this.#known.set(use.nonce, use.user);
    return found;
  }

  receive({ n, use }: NonceResponse): void {
    this.#pending.get(n)?.(use);
  }
}
