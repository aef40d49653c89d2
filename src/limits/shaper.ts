import type { Clock } from '../core/clock.ts';
import { type Bucket, SERVE_EVERY_MS } from './bucket.ts';
import type { Flow, Pending, Share } from './flow.ts';
import { Heap } from './heap.ts';

/** Longest single timer; at its end the wait is reckoned anew. Beyond 2^31 ms Node's timers fire at once. */
const TIMER_MS_MAX = 3_600_000;

/**
 * Grants bytes to flows whose buckets all have room at once. A flow that cannot go on waits in exactly one bucket, the
 * one that holds it up, so that it blocks nobody in the others; when its turn comes there it is judged anew by all.
 * One timer serves every bucket, and none runs while nobody waits.
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

  take(flow: Flow, bytesMax: number): number | Promise<number> {
    const answer = this.#judge(flow, bytesMax);
    if (typeof answer === 'number') return answer;
    return new Promise((resolve) => this.#wait(flow, { bytesMax, resolve, at: answer }));
  }

  giveBack(flow: Flow, bytes: number): void {
    if (!(bytes > 0)) return;
    for (const allowance of flow.allowances) allowance.giveBack(bytes);
    if (flow.shares.length === 0) return;
    const nowMs = this.#clock.now();
    for (const share of flow.shares) {
      share.bucket.fill(nowMs);
      share.bucket.giveBack(share, bytes, nowMs);
      this.#plan(share.bucket, nowMs);
    }
    this.#arm(nowMs);
  }

  /** Ends a flow: a take that waits is answered 0, and so is every later one. */
  end(flow: Flow): void {
    flow.isOver = true;
    this.#withdraw(flow)?.resolve(0);
  }

  /** Takes a flow that waits out of its queue, for `resume` after its buckets have changed. */
  suspend(flow: Flow): Pending | undefined {
    return this.#withdraw(flow);
  }

  resume(flow: Flow, pending: Pending): void {
    const answer = this.#judge(flow, pending.bytesMax);
    if (typeof answer === 'number') pending.resolve(answer);
    else this.#wait(flow, { ...pending, at: answer });
  }

  /** Reckons anew when a bucket can serve, after its pace has changed. */
  replan(buckets: Iterable<Bucket>): void {
    const nowMs = this.#clock.now();
    for (const bucket of buckets) this.#plan(bucket, nowMs);
    this.#arm(nowMs);
  }

  /** Serves a bucket that somebody else has filled: whoever waits has waited for it long enough. */
  filled(bucket: Bucket): void {
    const nowMs = this.#clock.now();
    this.#serve(bucket, nowMs);
    this.#arm(nowMs);
  }

  /** Stops the timer until somebody waits again. */
  stop(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#timerMs = Number.POSITIVE_INFINITY;
  }

  #withdraw(flow: Flow): Pending | undefined {
    const { pending } = flow;
    if (!pending) return undefined;
    const { bucket } = pending.at;
    const nowMs = this.#clock.now();
    bucket.fill(nowMs);
    bucket.leave(pending.at);
    flow.pending = undefined;
    this.#plan(bucket, nowMs);
    this.#arm(nowMs);
    return pending;
  }

  /** Bytes that are granted now, or where the flow has to wait. */
  #judge(flow: Flow, bytesMax: number): number | Share {
    if (flow.isOver || !(bytesMax > 0)) return 0;
    const { shares } = flow;
    if (shares.length > 0) {
      const nowMs = this.#clock.now();
      this.#order++;
      for (const share of shares) {
        share.order = this.#order;
        share.bucket.fill(nowMs);
        share.bucket.tag(share, bytesMax);
      }
      const blocking = this.#blocking(flow, this.#turn(flow, bytesMax));
      if (blocking !== undefined) return blocking;
      for (const share of shares) if (share.bucket.portion(share) < 1) return share;
    }
    return this.#grant(flow, bytesMax);
  }

  #wait(flow: Flow, pending: Pending): void {
    flow.pending = pending;
    const { at } = pending;
    at.bucket.enqueue(at);
    if (at.bucket.first() !== at) return;
    const nowMs = this.#clock.now();
    this.#plan(at.bucket, nowMs);
    this.#arm(nowMs);
  }

  /** Bytes of the flow's next turn: what all its buckets hold to be fair. */
  #turn(flow: Flow, bytesMax: number): number {
    let bytes = bytesMax;
    for (const share of flow.shares) bytes = Math.min(bytes, share.bucket.turn(share));
    return bytes;
  }

  /** The first bucket that holds the flow up, for want of bytes or because somebody else is first; `except` agreed. */
  #blocking(flow: Flow, bytes: number, except?: Share): Share | undefined {
    for (const share of flow.shares) {
      if (share === except) continue;
      if (share.bucket.available(share) < bytes || share.bucket.isBehind(share)) return share;
    }
    return undefined;
  }

  /** All buckets agree: one turn where others wait, a portion of what is there where nobody does. */
  #grant(flow: Flow, bytesMax: number): number {
    let bytes = bytesMax;
    for (const share of flow.shares) {
      const { bucket } = share;
      const fair = bucket.waiting > 0 ? bucket.turn(share) : Math.max(1, bucket.portion(share));
      bytes = Math.min(bytes, bucket.available(share), fair);
    }
    for (const allowance of flow.allowances) bytes = Math.min(bytes, allowance.left());
    if (bytes <= 0) return 0;
    for (const share of flow.shares) share.bucket.spend(share, bytes);
    for (const allowance of flow.allowances) allowance.use(bytes);
    return bytes;
  }

  /** Serves a bucket's queue as far as it goes. */
  #serve(bucket: Bucket, nowMs: number): void {
    bucket.fill(nowMs);
    bucket.servedMs = nowMs;
    let promised = 0;
    for (let first = bucket.first(); first; first = bucket.first()) {
      const { flow } = first;
      const { pending } = flow;
      if (!pending) break;
      const turn = this.#turn(flow, pending.bytesMax);
      // What was promised to those who went on to wait elsewhere is not offered twice, or all would go and come back.
      if (bucket.available(first) - promised < turn) break;
      bucket.leave(first);
      for (const share of flow.shares) {
        if (share === first) continue;
        share.bucket.fill(nowMs);
        // While it waited here it was no candidate there, and time spent away earns nothing.
        share.bucket.tag(share, pending.bytesMax);
      }
      const blocking = this.#blocking(flow, turn, first);
      if (blocking !== undefined) {
        promised += turn;
        this.#move(pending, blocking, nowMs);
        continue;
      }
      flow.pending = undefined;
      pending.resolve(this.#grant(flow, pending.bytesMax));
    }
    this.#plan(bucket, nowMs);
  }

  #move(pending: Pending, to: Share, nowMs: number): void {
    pending.at = to;
    to.bucket.enqueue(to);
    if (to.bucket.first() === to) this.#plan(to.bucket, nowMs);
  }

  /** Sets when a bucket is served next, by whoever is first in it. */
  #plan(bucket: Bucket, nowMs: number): void {
    const first = bucket.first();
    const pending = first?.flow.pending;
    if (!first || !pending) {
      this.#wakes.remove(bucket);
      bucket.wakeMs = Number.POSITIVE_INFINITY;
      return;
    }
    const ready = bucket.readyMs(first, this.#turn(first.flow, pending.bytesMax));
    // A bucket that somebody else fills is planned anew when something has come.
    if (ready === Number.POSITIVE_INFINITY) {
      this.#wakes.remove(bucket);
      bucket.wakeMs = ready;
      return;
    }
    bucket.wakeMs = Math.max(ready, bucket.servedMs + SERVE_EVERY_MS, nowMs);
    if (this.#wakes.has(bucket)) this.#wakes.moved(bucket);
    else this.#wakes.push(bucket);
  }

  /** Has the timer ring for the first bucket. One that rings too early costs less than one that is set anew. */
  #arm(nowMs: number): void {
    const wakeMs = this.#wakes.first?.wakeMs;
    if (wakeMs === undefined) return this.stop();
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(1, Math.ceil(wakeMs - nowMs)));
    if (nowMs + delayMs >= this.#timerMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#timerMs = nowMs + delayMs;
    this.#timer = this.#clock.after(delayMs, () => this.#ring());
  }

  #ring(): void {
    this.#timer = undefined;
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.now();
    for (let bucket = this.#wakes.first; bucket && bucket.wakeMs <= nowMs; bucket = this.#wakes.first) {
      this.#serve(bucket, nowMs);
    }
    this.#arm(nowMs);
  }
}
