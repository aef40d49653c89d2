import type { Clock } from '../../util/clock.ts';
import { type Bucket, type BucketEntry, type GateState, type PendingTake, SERVE_EVERY_MS } from './bucket.ts';
import { Heap } from './heap.ts';

/** Longest single timer; at its end the wait is computed again. Beyond 2^31 ms Node's timers fire at once. */
const TIMER_MS_MAX = 3_600_000;

/**
 * Grants bytes to gates whose buckets all have enough at once. A gate that has to wait does so in exactly one bucket, the
 * one that blocks it, so that it blocks no gate in the others; when its turn comes there, all its buckets are checked
 * again. One timer serves every bucket, and none runs while no gate waits.
 */
export class Shaper {
  readonly #clock: Clock;
  readonly #wakes = new Heap<Bucket>((a, b) => a.wakeMs < b.wakeMs);
  #timer: Disposable | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #order = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(gate: GateState, bytesMax: number): number | Promise<number> {
    const granted = this.#tryTake(gate, bytesMax);
    if (typeof granted === 'number') return granted;
    return new Promise((resolve) => this.#wait(gate, { bytesMax, resolve, blockedOn: granted }));
  }

  refund(gate: GateState, bytes: number): void {
    if (!(bytes > 0)) return;
    for (const quota of gate.quotas) quota.refund(bytes);
    if (gate.entries.length === 0) return;
    const nowMs = this.#clock.now();
    for (const entry of gate.entries) {
      entry.bucket.fill(nowMs);
      entry.bucket.refund(entry, bytes, nowMs);
      this.#schedule(entry.bucket, nowMs);
    }
    this.#arm(nowMs);
  }

  /** Ends a gate: a take that waits gets 0 bytes, and so does every later one. */
  end(gate: GateState): void {
    gate.isOver = true;
    this.#withdraw(gate)?.resolve(0);
  }

  /** Removes a gate that waits from its queue, for `resume` after its buckets have changed. */
  suspend(gate: GateState): PendingTake | undefined {
    return this.#withdraw(gate);
  }

  resume(gate: GateState, pending: PendingTake): void {
    const granted = this.#tryTake(gate, pending.bytesMax);
    if (typeof granted === 'number') pending.resolve(granted);
    else this.#wait(gate, { ...pending, blockedOn: granted });
  }

  /** Computes again when buckets can serve, after their rate has changed. */
  replan(buckets: Iterable<Bucket>): void {
    const nowMs = this.#clock.now();
    for (const bucket of buckets) this.#schedule(bucket, nowMs);
    this.#arm(nowMs);
  }

  /** Serves a bucket at once, after the owner of the limits has granted it bytes. */
  onRefilled(bucket: Bucket): void {
    const nowMs = this.#clock.now();
    this.#serve(bucket, nowMs);
    this.#arm(nowMs);
  }

  /** Stops the timer until a gate waits again. */
  stop(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#timerMs = Number.POSITIVE_INFINITY;
  }

  #withdraw(gate: GateState): PendingTake | undefined {
    const { pending } = gate;
    if (!pending) return undefined;
    const { bucket } = pending.blockedOn;
    const nowMs = this.#clock.now();
    bucket.fill(nowMs);
    bucket.dequeue(pending.blockedOn);
    gate.pending = undefined;
    this.#schedule(bucket, nowMs);
    this.#arm(nowMs);
    return pending;
  }

  /** Bytes that are granted now, or the bucket where the gate has to wait. */
  #tryTake(gate: GateState, bytesMax: number): number | BucketEntry {
    if (gate.isOver || !(bytesMax > 0)) return 0;
    const { entries } = gate;
    if (entries.length > 0) {
      const nowMs = this.#clock.now();
      this.#order++;
      for (const entry of entries) {
        entry.order = this.#order;
        entry.bucket.fill(nowMs);
        entry.bucket.tag(entry, bytesMax);
      }
      const blocking = this.#blocking(gate, this.#quantum(gate, bytesMax));
      if (blocking !== undefined) return blocking;
      for (const entry of entries) if (entry.bucket.intervalShare(entry) < 1) return entry;
    }
    return this.#grant(gate, bytesMax, 1);
  }

  #wait(gate: GateState, pending: PendingTake): void {
    gate.pending = pending;
    const { blockedOn } = pending;
    blockedOn.bucket.enqueue(blockedOn);
    if (blockedOn.bucket.first !== blockedOn) return;
    const nowMs = this.#clock.now();
    this.#schedule(blockedOn.bucket, nowMs);
    this.#arm(nowMs);
  }

  /** Bytes of the gate's next turn: the smallest that one of its buckets allows. */
  #quantum(gate: GateState, bytesMax: number): number {
    let bytes = bytesMax;
    for (const entry of gate.entries) bytes = Math.min(bytes, entry.bucket.quantum(entry));
    return bytes;
  }

  /** The first bucket that blocks the gate, for want of bytes or because another gate is first; `except` has agreed. */
  #blocking(gate: GateState, bytes: number, except?: BucketEntry): BucketEntry | undefined {
    for (const entry of gate.entries) {
      if (entry === except) continue;
      if (entry.bucket.available(entry) < bytes || entry.bucket.isBehind(entry)) return entry;
    }
    return undefined;
  }

  /**
   * All buckets agree: one turn where other gates wait, a part of what is there where none does; `least` to a gate that has
   * waited for so much.
   */
  #grant(gate: GateState, bytesMax: number, least: number): number {
    let bytes = bytesMax;
    for (const entry of gate.entries) {
      const { bucket } = entry;
      const fair = bucket.waiting > 0 ? bucket.quantum(entry) : Math.max(least, bucket.intervalShare(entry));
      bytes = Math.min(bytes, bucket.available(entry), fair);
    }
    for (const quota of gate.quotas) bytes = Math.min(bytes, quota.left());
    if (bytes <= 0) return 0;
    for (const entry of gate.entries) entry.bucket.spend(entry, bytes);
    for (const quota of gate.quotas) quota.use(bytes);
    return bytes;
  }

  /** Serves a bucket's queue as far as it goes. */
  #serve(bucket: Bucket, nowMs: number): void {
    bucket.fill(nowMs);
    bucket.servedMs = nowMs;
    let promised = 0;
    for (let first = bucket.first; first; first = bucket.first) {
      const { gate } = first;
      const { pending } = gate;
      if (!pending) break;
      const quantum = this.#quantum(gate, pending.bytesMax);
      // Bytes promised to gates that now wait in another bucket are not offered twice, or all of them would move there and back.
      if (bucket.available(first) - promised < quantum) break;
      bucket.dequeue(first);
      for (const entry of gate.entries) {
        if (entry === first) continue;
        entry.bucket.fill(nowMs);
        // While it waited here it was not queued there, and time spent away earns nothing.
        entry.bucket.tag(entry, pending.bytesMax);
      }
      const blocking = this.#blocking(gate, quantum, first);
      if (blocking !== undefined) {
        promised += quantum;
        this.#move(pending, blocking, nowMs);
        continue;
      }
      gate.pending = undefined;
      pending.resolve(this.#grant(gate, pending.bytesMax, quantum));
    }
    this.#schedule(bucket, nowMs);
  }

  #move(pending: PendingTake, to: BucketEntry, nowMs: number): void {
    pending.blockedOn = to;
    to.bucket.enqueue(to);
    if (to.bucket.first === to) this.#schedule(to.bucket, nowMs);
  }

  /** Sets when a bucket is served next, by the entry that is first in it. */
  #schedule(bucket: Bucket, nowMs: number): void {
    const first = bucket.first;
    const pending = first?.gate.pending;
    if (!first || !pending) {
      this.#wakes.remove(bucket);
      bucket.wakeMs = Number.POSITIVE_INFINITY;
      return;
    }
    const quantum = this.#quantum(first.gate, pending.bytesMax);
    const ready = bucket.readyMs(first, bucket.batch(first, quantum));
    // The owner of the limits fills this bucket: it is served when bytes have come (`onRefilled`).
    if (ready === Number.POSITIVE_INFINITY) {
      this.#wakes.remove(bucket);
      bucket.wakeMs = ready;
      return;
    }
    bucket.wakeMs = Math.max(ready, bucket.servedMs + SERVE_EVERY_MS, nowMs);
    if (this.#wakes.has(bucket)) this.#wakes.reposition(bucket);
    else this.#wakes.push(bucket);
  }

  /** Sets the timer for the first bucket. One that fires too early costs less than one that is set again. */
  #arm(nowMs: number): void {
    const wakeMs = this.#wakes.first?.wakeMs;
    if (wakeMs === undefined) return this.stop();
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(1, Math.ceil(wakeMs - nowMs)));
    if (nowMs + delayMs >= this.#timerMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#timerMs = nowMs + delayMs;
    this.#timer = this.#clock.after(delayMs, () => this.#onTimer());
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.now();
    for (let bucket = this.#wakes.first; bucket && bucket.wakeMs <= nowMs; bucket = this.#wakes.first) {
      this.#serve(bucket, nowMs);
    }
    this.#arm(nowMs);
  }
}
