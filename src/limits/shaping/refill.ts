import { type FillRate, TokenBucket } from '../token-bucket.ts';
import type { QueueEntry } from './turn-queue.ts';

/**
 * How the bytes of a bucket come: this process counts them at the rate of the limit (`LocalRefill`), or the process that
 * owns the limits grants them in slices (`LeasedRefill`). Disposing gives back what is left.
 */
export interface Refill extends Disposable {
  /** Of the whole limit; it decides how large turns are. */
  readonly rate: FillRate;
  /** `short`: bytes come in grants, and a long turn might wait for more than is ever there. */
  readonly turns: 'long' | 'short';
  /** Bytes that are there. */
  readonly level: number;
  /** Bytes that background traffic leaves for other traffic. */
  readonly reserve: number;
  /** No more bytes come for now: takers use up what is there, and then get nothing. */
  readonly isExhausted: boolean;
  setRate(rate: FillRate, nowMs: number): void;
  /** Adds what has come since the last time, while `waiting` entries waited. */
  fill(nowMs: number, waiting: number): void;
  /** When so many bytes will be there, on the clock; Infinity: the owner of the limits decides. */
  readyMs(bytes: number): number;
  /** An entry has taken bytes, or waits for them (0). */
  take(bytes: number, entry: QueueEntry): void;
  refund(bytes: number, nowMs: number): void;
  /** Whether a new bucket would hold as much. */
  isLikeNew(nowMs: number): boolean;
}

/** The rate of a limit that this process alone counts. */
export class LocalRefill extends TokenBucket implements Refill {
  readonly isExhausted = false;
  readonly turns = 'long';

  /** Half the burst: other traffic finds it there and need not wait even for the refill. */
  get reserve(): number {
    return Math.floor(this.rate.burst / 2);
  }

  isLikeNew(nowMs: number): boolean {
    return this.isFull(nowMs);
  }

  [Symbol.dispose](): void {}
}
