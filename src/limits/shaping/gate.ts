import type { Gate } from '../../contracts/stages.ts';
import type { QuotaBudget } from '../quota-budget.ts';
import type { BucketEntry, GateState, PendingTake } from './bucket.ts';
import type { Shaper } from './shaper.ts';

const NO_ENTRIES: readonly BucketEntry[] = [];
const NO_QUOTAS: readonly QuotaBudget[] = [];

/** Of a quota ahead: what a slow tunnel was granted and has not used counts as used for all others meanwhile. */
const QUOTA_AHEAD_BYTES_MAX = 1024 * 1024;

/** One direction of one request: the relay takes bytes from it before it sends them. */
export class ShapedGate implements Gate, GateState {
  entries: readonly BucketEntry[] = NO_ENTRIES;
  quotas: readonly QuotaBudget[] = NO_QUOTAS;
  pending: PendingTake | undefined;
  isOver = false;
  #last: Promise<number> | undefined;
  readonly #shaper: Shaper;

  constructor(shaper: Shaper) {
    this.#shaper = shaper;
  }

  get isIdle(): boolean {
    return !this.isOver && this.entries.length === 0 && this.quotas.length === 0;
  }

  get aheadBytesMax(): number {
    return this.quotas.length > 0 ? QUOTA_AHEAD_BYTES_MAX : Number.POSITIVE_INFINITY;
  }

  /** One take at a time; a second one waits until the first has been granted. */
  take(bytesMax: number): number | Promise<number> {
    if (this.pending && this.#last) return this.#last.then(() => this.take(bytesMax));
    const granted = this.#shaper.take(this, bytesMax);
    this.#last = typeof granted === 'number' ? undefined : granted;
    return granted;
  }

  refund(bytes: number): void {
    this.#shaper.refund(this, bytes);
  }
}
