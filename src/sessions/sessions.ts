import { ProxyError } from '../contracts/failure.ts';
import type { ProxyRecord, TimedStep } from '../contracts/record.ts';
import type { Permit } from '../contracts/stages.ts';
import { type Clock, systemClock } from '../util/clock.ts';
import { Sampling } from '../util/sampling.ts';
import { type SlotItem, SlotList } from '../util/slot-list.ts';
import { RecordRing } from './record-ring.ts';

/** So many requests that ended are kept; of those that end faster than that in a second, a sample. */
const ENDED_MAX = 500;

/** A request or a tunnel in progress, as plain data. */
export interface LiveRequest {
  /** The step that it is in; `undefined`: none has begun. */
  readonly step: TimedStep | undefined;
  /** What is known so far; `durationMs` is its age, and the bytes are those of now. */
  readonly record: ProxyRecord;
  /** Name of the limit that holds it back now. */
  readonly heldBy?: string | undefined;
}

/** What the registry holds of a request. The request itself is the entry, so that an entry costs one place in a list. */
export interface LiveEntry extends SlotItem {
  readonly id: string;
  readonly kind: ProxyRecord['kind'];
  /** The step that it is in; `undefined`: none has begun. */
  readonly step: TimedStep | undefined;
  /** What limits have granted to it, once they have. */
  readonly permit: Permit | undefined;
  snapshot(): LiveRequest;
  /** Aborts the request with that reason. */
  stop(why: ProxyError): void;
}

/** All requests and tunnels in progress in this process, and the records of those that ended last. */
export class Sessions {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #live = new SlotList<LiveEntry>();
  readonly #ended = new RecordRing(ENDED_MAX);
  readonly #sampling = new Sampling(ENDED_MAX);
  /** On its own, so that one failure among thousands of successes is seen. */
  readonly #failureSampling = new Sampling(ENDED_MAX);
  /** Since the drain began. */
  #drained: { ended: number; longestMs: number } | undefined;

  constructor(clock: Pick<Clock, 'now'> = systemClock) {
    this.#clock = clock;
  }

  /** Requests and tunnels in progress. */
  get size(): number {
    return this.#live.size;
  }

  add(entry: LiveEntry): void {
    this.#live.add(entry);
  }

  /** The request has ended, with that record. */
  remove(entry: LiveEntry, record: ProxyRecord): void {
    this.#live.delete(entry);
    this.addEnded(record);
    if (this.#drained === undefined) return;
    this.#drained.ended += 1;
    this.#drained.longestMs = Math.max(this.#drained.longestMs, record.durationMs);
  }

  /** From now on it is counted which requests end. */
  beginDrain(): void {
    this.#drained ??= { ended: 0, longestMs: 0 };
  }

  /** Requests that have ended since `beginDrain`, and how long the longest of them lasted. */
  get drained(): { readonly ended: number; readonly longestMs: number } {
    return this.#drained ?? { ended: 0, longestMs: 0 };
  }

  /** A request has ended, or could not begin: its head was refused, or its client. */
  addEnded(record: ProxyRecord): void {
    const sampling = record.failure === undefined ? this.#sampling : this.#failureSampling;
    if (sampling.take(this.#clock.now())) this.#ended.add(record);
  }

  /** Every request in progress, in no order. */
  entries(): Iterable<LiveEntry> {
    return this.#live;
  }

  /** Of every request in progress, in no order. */
  snapshot(): LiveRequest[] {
    return Array.from(this.#live, (entry) => entry.snapshot());
  }

  /** Of one request; `undefined`: none in progress has that id. */
  find(id: string): LiveRequest | undefined {
    for (const entry of this.#live) if (entry.id === id) return entry.snapshot();
    return undefined;
  }

  /** Records of the requests that ended last, the latest first. */
  ended(): ProxyRecord[] {
    return this.#ended.latestFirst();
  }

  /** How many records have been kept so far. */
  get endedCount(): number {
    return this.#ended.added;
  }

  /** As `ended`, of those that came after the first `count`. */
  endedAfter(count: number): ProxyRecord[] {
    const fresh = this.#ended.added - count;
    return fresh <= 0 ? [] : this.#ended.latestFirst().slice(0, fresh);
  }

  /** Ends several requests; `reason` is for their records. Returns how many of them were in progress. */
  endAll(ids: ReadonlySet<string>, reason: string): number {
    // A request that is stopped may leave the list at once.
    const wanted = Array.from(this.#live).filter(({ id }) => ids.has(id));
    for (const entry of wanted) entry.stop(new ProxyError('terminated', reason));
    return wanted.length;
  }

  /** Ends one request; `reason` is for its record. False: no request in progress has that id. */
  end(id: string, reason: string): boolean {
    for (const entry of this.#live) {
      if (entry.id !== id) continue;
      entry.stop(new ProxyError('terminated', reason));
      return true;
    }
    return false;
  }
}
