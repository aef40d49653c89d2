import type { Share } from './flow.ts';
import { Heap, type Slotted } from './heap.ts';

/** What the rate lets pass in this time may pass at once after a pause, unless `burst` says otherwise. */
export const BURST_MS = 200;
/**
 * While somebody waits, a bucket fills for up to this long. Timers come a millisecond late, and tens of them when the
 * process is busy; a bucket that stopped filling at a small `burst` would lose what the rate allowed meanwhile. 1 % of
 * the 10 s over which a rate is held, and nothing of it is left for whoever comes after a pause.
 */
export const LATE_MS = 100;
/** A bucket counts as waited for until this long after the last wait: a taker that got its bytes is about to ask again. */
const RETURN_MS = 20;

/** One turn lets pass what the rate gives in this time: a smaller one costs more turns and serves nobody sooner. */
const TURN_MS = 20;
/** … but everybody who waits has had a turn after this long, so that 10 s are enough for equal shares. */
const ROUND_MS = 400;
/** A turn of fewer bytes costs more for its headers and its wake-up than for its bytes. */
export const TURN_BYTES_MIN = 256;
/** What one read of the relay brings at most: a larger turn would never be used. */
const TURN_BYTES_MAX = 64 * 1024;

/** How far a tag may be ahead of the one that is being served: an ordinary turn is one, and the next follows it. */
const AHEAD_TURNS_MAX = 2;

/** A bucket is served at most this often: at 100 MiB/s a wake-up per read would cost more than the read. */
export const SERVE_EVERY_MS = 2;

/**
 * One of several users takes at most this part of what is there in one interval. With a refill of 2 ms a bucket then
 * stays about 16 ms of its rate above empty while a single user is busy, well within what it may hold.
 */
const PORTIONS = 8;

/** Rounding of doubles, in bytes: 12.5 GB/s times hours of milliseconds is exact to far less. */
const ROUNDING = 1e-3;

/** What a limit lets pass, whoever the bucket is for. */
export interface Pace {
  /** Bytes per second. */
  readonly rate: number;
  readonly burst: number | undefined;
}

/** Where the bytes of a bucket come from that somebody else fills. */
export interface Supply {
  /** No more will come: what is there may be used up, and then nothing passes. */
  readonly isOver: boolean;
  /** A flow has taken bytes, or waits for them (0). */
  taken(share: Share, bytes: number): void;
}

/** Bytes that have passed under one limit, over all its buckets. */
export interface Tally {
  bytes: number;
}

const earlier = (a: Share, b: Share): boolean => a.due < b.due || (a.due === b.due && a.order < b.order);

/**
 * A token bucket, and the flows that wait for it. Bytes are never lent: what was granted was there. Who is next follows
 * weighted fair queueing with equal weights: each flow's share carries a tag that grows by the bytes it got, and first is
 * whose tag would be smallest after its turn. So a download gets one turn in each round, while an echo, whose turns are
 * small, has many before it falls behind. A flow that was away comes back at the tag that is being served: it goes early,
 * and gains nothing by having been away.
 */
export class Bucket implements Slotted {
  slot = -1;
  /** Open requests that this bucket counts. */
  users = 0;
  /** When the first of those who wait can be served, on the clock. */
  wakeMs: number = Number.POSITIVE_INFINITY;
  servedMs: number = Number.NEGATIVE_INFINITY;
  readonly tally: Tally;
  readonly #supply: Supply | undefined;
  readonly #normal = new Heap<Share>(earlier);
  readonly #background = new Heap<Share>(earlier);
  #perMs = 0;
  #burst = 0;
  #demandMax = 0;
  #level: number;
  #filledMs: number;
  #waitedMs = Number.NEGATIVE_INFINITY;
  /**
   * Where a flow comes back that was away: the highest tag that was served before the present interval. Doubles lose
   * single bytes of it after 2^53, which reorders nobody by more.
   */
  #virtual = 0;
  #virtualNext = 0;
  /** For how many who wait the tags in the queues were made, at least half. */
  #taggedFor = 1;
  #interval = 0;
  #intervalMs: number;
  /** What one of several users may take in the present interval. */
  #portion = 0;

  /** With a supply it begins empty, and its pace only says how large turns are. */
  constructor(pace: Pace, tally: Tally, nowMs: number, supply?: Supply) {
    this.tally = tally;
    this.#supply = supply;
    this.#filledMs = nowMs;
    this.#intervalMs = nowMs;
    this.#level = 0;
    this.#adopt(pace);
    this.#level = supply ? 0 : this.#burst;
    this.#portion = this.#level / PORTIONS;
  }

  /** Follows a limit that was changed; what is in the bucket stays, as far as it still holds it. */
  setPace(pace: Pace, nowMs: number): void {
    this.fill(nowMs);
    this.#adopt(pace);
    this.#level = Math.min(this.#level, this.#capacity(nowMs));
  }

  #adopt({ rate, burst }: Pace): void {
    this.#perMs = rate / 1000;
    this.#burst = Math.max(1, burst ?? this.#perMs * BURST_MS);
    this.#demandMax = Math.max(this.#burst, this.#perMs * LATE_MS);
  }

  get waiting(): number {
    return this.#normal.size + this.#background.size;
  }

  get level(): number {
    return this.#level;
  }

  /** Bytes per millisecond. */
  get perMs(): number {
    return this.#perMs;
  }

  /** Whether somebody waits who takes more than what the rest leaves. */
  get hasNormalWaiting(): boolean {
    return this.#normal.size > 0;
  }

  /** Takes in what its supply sends. */
  credit(bytes: number): void {
    this.#level += bytes;
  }

  /** Gives up all whole bytes that are there. */
  drain(): number {
    const bytes = Math.max(0, Math.floor(this.#level + ROUNDING));
    this.#level -= bytes;
    return bytes;
  }

  isFull(nowMs: number): boolean {
    this.fill(nowMs);
    return this.#level >= this.#burst - ROUNDING;
  }

  /** Adds what the rate has given since the last time. */
  fill(nowMs: number): void {
    if (this.waiting > 0) this.#waitedMs = nowMs;
    const passed = nowMs - this.#filledMs;
    if (passed <= 0) return;
    this.#filledMs = nowMs;
    if (!this.#supply) this.#level = Math.min(this.#capacity(nowMs), this.#level + passed * this.#perMs);
    if (nowMs - this.#intervalMs < SERVE_EVERY_MS) return;
    this.#interval++;
    this.#intervalMs = nowMs;
    this.#virtual = this.#virtualNext;
    this.#portion = this.#level / PORTIONS;
  }

  #capacity(nowMs: number): number {
    if (this.#supply) return Number.POSITIVE_INFINITY;
    return nowMs - this.#waitedMs <= RETURN_MS ? this.#demandMax : this.#burst;
  }

  /** Background leaves half the burst, so that others find it there and need not wait even for the refill. */
  #reserve(share: Share): number {
    if (this.#supply) return 0;
    return share.isBackground ? Math.floor(this.#burst / 2) : 0;
  }

  /** Bytes that this share may take now, not looking at who waits. */
  available(share: Share): number {
    if (this.#supply?.isOver) return Number.MAX_SAFE_INTEGER;
    return Math.floor(this.#level - this.#reserve(share) + ROUNDING);
  }

  /** Bytes of one turn: small enough to be fair, and never more than the bucket can hold. */
  turn(share: Share): number {
    const fair = this.#perMs * Math.min(TURN_MS, ROUND_MS / Math.max(1, this.waiting));
    const held = Math.floor(this.#demandMax - this.#reserve(share));
    return Math.max(1, Math.min(held, TURN_BYTES_MAX, Math.max(TURN_BYTES_MIN, Math.floor(fair))));
  }

  /** When `bytes` will be there for this share, on the clock. */
  readyMs(share: Share, bytes: number): number {
    const missing = bytes + this.#reserve(share) - ROUNDING - this.#level;
    if (missing <= 0 || this.#supply?.isOver) return this.#filledMs;
    return this.#supply ? Number.POSITIVE_INFINITY : this.#filledMs + missing / this.#perMs;
  }

  /** Whether somebody who waits goes before this share. */
  isBehind(share: Share): boolean {
    if (this.waiting === 0) return false;
    if (share.isBackground && this.#normal.size > 0) return true;
    const first = this.#queueOf(share).first;
    return first !== undefined && first !== share && earlier(first, share);
  }

  /**
   * Bytes that this share may take before the next interval although nobody waits: a part of what there was. Or whoever
   * asks first, or reads most at a time, would take all there is before the others come for theirs. What is left over
   * makes the next portion larger, so that a single busy user among idle ones still reaches the rate.
   */
  portion(share: Share): number {
    if (this.users < 2) return Number.POSITIVE_INFINITY;
    const portion = Math.max(this.#portion, TURN_BYTES_MIN, (this.#perMs * SERVE_EVERY_MS) / 2);
    return Math.floor(share.interval === this.#interval ? portion - share.got : portion);
  }

  /** Takes a tag for the next turn, which is for `bytes` at most. */
  tag(share: Share, bytes: number): void {
    share.start = Math.max(this.#virtual, share.finish);
    share.wanted = bytes;
    this.#setDue(share);
  }

  #setDue(share: Share): void {
    const turn = this.turn(share);
    // A turn that was long when few waited is forgiven when many do, or it would be paid for with many rounds.
    share.start = Math.min(share.start, this.#virtual + AHEAD_TURNS_MAX * turn);
    share.due = share.start + Math.min(share.wanted, turn);
  }

  spend(share: Share, bytes: number): void {
    this.#level -= bytes;
    this.tally.bytes += bytes;
    // What passed while nobody waited took nothing from anyone: only a turn of it counts against what follows.
    share.finish = share.start + Math.min(bytes, this.turn(share));
    this.#virtualNext = Math.max(this.#virtualNext, share.start);
    share.got = share.interval === this.#interval ? share.got + bytes : bytes;
    share.interval = this.#interval;
    this.#supply?.taken(share, bytes);
  }

  giveBack(share: Share, bytes: number, nowMs: number): void {
    this.#level = Math.min(this.#capacity(nowMs), this.#level + bytes);
    this.tally.bytes -= bytes;
    share.finish = Math.max(share.start, share.finish - bytes);
  }

  first(): Share | undefined {
    return this.#normal.first ?? this.#background.first;
  }

  enqueue(share: Share): void {
    this.#queueOf(share).push(share);
    this.#supply?.taken(share, 0);
    if (this.waiting <= 2 * this.#taggedFor) return;
    // Turns are shorter the more wait. Tags that still count on long ones would come after many turns of those who came
    // later: whoever was first among 500 would wait for a minute.
    this.#taggedFor = this.waiting;
    for (const heap of [this.#normal, this.#background]) heap.reorder((one) => this.#setDue(one));
  }

  leave(share: Share): void {
    this.#normal.remove(share);
    this.#background.remove(share);
    this.#taggedFor = Math.min(this.#taggedFor, this.waiting + 1);
  }

  #queueOf(share: Share): Heap<Share> {
    return share.isBackground ? this.#background : this.#normal;
  }
}
