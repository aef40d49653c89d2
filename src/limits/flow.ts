import type { Gate } from '../core/stages.ts';
import type { Bucket } from './bucket.ts';
import type { Slotted } from './heap.ts';
import type { Shaper } from './shaper.ts';

/** A flow's place in one bucket. */
export class Share implements Slotted {
  slot = -1;
  /** Tag before the turn that it waits for, or had last. */
  start = 0;
  /** Tag after the last turn. */
  finish = 0;
  /** Tag after that turn, if it is used in full; the smallest goes first, and among equals who asked first. */
  due = 0;
  /** Bytes of the take that it waits for, at most. */
  wanted = 0;
  order = 0;
  /** Bytes got in the bucket's interval of that number. */
  got = 0;
  interval = -1;
  isBackground = false;
  readonly flow: Flow;
  readonly bucket: Bucket;

  constructor(flow: Flow, bucket: Bucket) {
    this.flow = flow;
    this.bucket = bucket;
  }
}

/** Bytes that may still pass in a period. */
export interface Allowance {
  /** At most; 0: none until the period ends. */
  left(): number;
  use(bytes: number): void;
  giveBack(bytes: number): void;
}

/** A take that waits. */
export interface Pending {
  readonly bytesMax: number;
  readonly resolve: (bytes: number) => void;
  /** Where it waits: in exactly one bucket, the one that holds it up. */
  at: Share;
}

const NO_SHARES: readonly Share[] = [];
const NO_ALLOWANCES: readonly Allowance[] = [];

/** One direction of one request, as a gate. */
export class Flow implements Gate {
  shares: readonly Share[] = NO_SHARES;
  allowances: readonly Allowance[] = NO_ALLOWANCES;
  pending: Pending | undefined;
  isOver = false;
  #last: Promise<number> | undefined;
  readonly #shaper: Shaper;

  constructor(shaper: Shaper) {
    this.#shaper = shaper;
  }

  get isIdle(): boolean {
    return !this.isOver && this.shares.length === 0 && this.allowances.length === 0;
  }

  /** One take at a time; a second one asks when the first has been answered. */
  take(bytesMax: number): number | Promise<number> {
    if (this.pending && this.#last) return this.#last.then(() => this.take(bytesMax));
    const answer = this.#shaper.take(this, bytesMax);
    this.#last = typeof answer === 'number' ? undefined : answer;
    return answer;
  }

  giveBack(bytes: number): void {
    this.#shaper.giveBack(this, bytes);
  }
}
