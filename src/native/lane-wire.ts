import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AnyWire, type Fate } from '../core/any-wire.ts';
import { KEEP_ALIVE_DELAY_MS, keepAlive, type Probed } from '../core/late-keep-alive.ts';
import { NO_SLOT } from '../core/roster.ts';
import type { Sink, Written } from '../core/source.ts';
import { resetSocket } from '../core/wire.ts';
import { HAPPENED } from './addon.ts';
import type { Lane, Party } from './lane.ts';
import { Outbox } from './outbox.ts';
import { systemError } from './system-error.ts';

/** Texts up to this length go out without becoming a buffer first. */
const TEXT_MAX = 16_000;

/** Where its socket is. */
type Whereabouts = 'lane' | 'closed' | 'given-away' | Duplex;

const NOTHING = Buffer.alloc(0);
const destroyedError = (): Error =>
  Object.assign(new Error('the connection is closed'), { code: 'ERR_STREAM_DESTROYED' });

/** A descriptor that has left the lane, and what had been read of it and told to nobody. */
export interface GivenAway {
  readonly fd: number;
  readonly early: Buffer;
}

/** A socket of the lane: wire and stream in one, so that a connection is one object. */
export class LaneWire extends AnyWire implements Sink, Probed, Party {
  slot: number = NO_SLOT;
  wasSeen = false;
  readonly #lane: Lane;
  readonly #socket: number;
  #at: Whereabouts = 'lane';
  /** Told once how dialling went. */
  #dialling: ((error: Error | undefined) => void) | undefined;
  #lent: Buffer | undefined;
  /** What came in the turn in which the reader paused. */
  #held: Buffer | undefined;
  #heldFate: Fate | undefined;
  #isHandingOver = false;
  /** Made by the first write that the kernel does not take at once. */
  #outbox: Outbox | undefined;
  /** Why nothing can be written any more, though there may be bytes to read. */
  #broken: Error | undefined;
  #writing: 'open' | 'ending' | 'ended' = 'open';
  #onEnded: (() => void) | undefined;
  #onClose: (() => void)[] | undefined;

  constructor(lane: Lane, socket: number, dialling: ((error: Error | undefined) => void) | undefined) {
    super();
    this.#lane = lane;
    this.#socket = socket;
    this.#dialling = dialling;
    keepAlive.add(this);
  }

  get stream(): Sink {
    return this;
  }

  get destroyed(): boolean {
    return this.#at === 'lane' ? false : typeof this.#at === 'string' || this.#at.destroyed;
  }

  get writableEnded(): boolean {
    return this.#writing !== 'open';
  }

  get writableLength(): number {
    return this.#outbox?.bytes ?? 0;
  }

  happened(kind: number, first: number, second: number): void {
    switch (kind) {
      case HAPPENED.bytes:
        return this.#readByLane(first, second);
      case HAPPENED.readable:
        return this.#readHere();
      case HAPPENED.ended:
        return this.#readingEnded({ at: 'ended' });
      case HAPPENED.failed:
        return this.#readingEnded({ at: 'failed', error: systemError(first, 'read') });
      case HAPPENED.writable:
        return this.#flush();
      case HAPPENED.connected:
        return this.#dialled(first);
      default:
    }
  }

  write(bytes: Uint8Array | string, how?: 'latin1' | Written): void {
    const written = typeof how === 'function' ? how : undefined;
    if (this.#at !== 'lane' || this.#writing !== 'open' || this.#broken !== undefined) {
      if (written !== undefined) queueMicrotask(() => written(this.#broken ?? destroyedError()));
      return;
    }
    if (this.#hasUnsent) return this.#queue(bytesOf(bytes), written);
    const sent = this.#send(bytes);
    if (sent === bytes.length) return written?.();
    if (sent < 0) return this.#breakOff(sent, written);
    this.#queue(bytesOf(bytes).subarray(sent), written);
    // A long text was only begun, and the socket may take more.
    if (typeof bytes === 'string') this.#flush();
  }

  end(done?: () => void): void {
    if (this.#writing !== 'open' || this.#at !== 'lane') {
      if (done !== undefined) queueMicrotask(done);
      return;
    }
    this.#writing = 'ending';
    this.#onEnded = done;
    if (!this.#hasUnsent) this.#shutDown();
  }

  destroy(): void {
    if (this.#at === 'lane') {
      this.#at = 'closed';
      this.#lane.close(this.#socket);
      queueMicrotask(() => this.#closed(undefined));
    } else if (typeof this.#at !== 'string') this.#at.destroy();
  }

  reset(): void {
    if (this.#at === 'lane') {
      this.#at = 'closed';
      this.#lane.reset(this.#socket);
      queueMicrotask(() => this.#closed(undefined));
    } else if (this.#at instanceof Socket) resetSocket(this.#at);
  }

  once(_event: 'close', heard: () => void): void {
    // Nearly always the only one: an array that grows would make room for sixteen more.
    this.#onClose = this.#onClose === undefined ? [heard] : [...this.#onClose, heard];
  }

  lend(buffer: Buffer | undefined): void {
    this.#lent = buffer;
    if (this.#at === 'lane') this.#lane.readBy(this.#socket, buffer === undefined ? 'lane' : 'owner');
  }

  askForProbes(delayMs: number): void {
    if (this.#at === 'lane') this.#lane.addon.keepAlive(this.#socket, Math.ceil(delayMs / 1_000));
  }

  toDuplex(): Duplex {
    if (typeof this.#at !== 'string') return this.#at;
    const given = this.#leave();
    if (given === undefined) {
      const failed = this.#heldFate?.at === 'failed' ? this.#heldFate.error : this.#broken;
      this.destroy();
      return new Socket().on('error', () => undefined).destroy(failed);
    }
    const socket = new Socket({ fd: given.fd, allowHalfOpen: true });
    this.#at = socket;
    // No error is ever without a listener, whatever its new reader listens to.
    socket.on('error', () => undefined).once('close', () => this.#tellClosed());
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    if (given.early.length > 0) socket.unshift(given.early);
    for (const { bytes, written } of this.#outbox?.takeAll() ?? []) socket.write(bytes, (error) => written?.(error));
    const done = this.#onEnded;
    this.#onEnded = undefined;
    if (this.#writing !== 'open') socket.end(done);
    return socket;
  }

  /**
   * The descriptor, for whoever can do without the lane. The connection lives on there; this wire is a closed one from
   * now on. `undefined`: something is on its way in or out that would be lost, and nothing has happened.
   */
  giveAway(): GivenAway | undefined {
    if (this.#writing !== 'open' || this.#hasUnsent) return undefined;
    const given = this.#leave();
    if (given !== undefined) queueMicrotask(() => this.#tellClosed());
    return given;
  }

  #leave(): GivenAway | undefined {
    if (this.#at !== 'lane' || this.#dialling !== undefined) return undefined;
    if (this.#broken !== undefined || this.#heldFate?.at === 'failed') return undefined;
    let early = this.#held ?? NOTHING;
    for (const [kind, first, second] of this.#lane.untold(this.#socket)) {
      // An end is told again to whoever reads next; an error is not.
      if (kind === HAPPENED.failed) {
        this.#heldFate = { at: 'failed', error: systemError(first, 'read') };
        this.#held = early.length > 0 ? early : undefined;
        // Whoever reads has heard of none of it yet.
        if (!this.paused) this.startReading();
        return undefined;
      }
      if (kind === HAPPENED.bytes) early = Buffer.concat([early, this.#lane.bytesAt(first, second)]);
    }
    keepAlive.delete(this);
    this.deliverTo(undefined);
    this.#held = undefined;
    this.#heldFate = undefined;
    this.#at = 'given-away';
    return { fd: this.#lane.release(this.#socket), early };
  }

  protected stopReading(): void {
    if (this.#at === 'lane') this.#lane.stopReading(this.#socket);
  }

  protected startReading(): void {
    if (this.#held !== undefined || this.#heldFate !== undefined) {
      if (!this.#isHandingOver) {
        this.#isHandingOver = true;
        queueMicrotask(() => this.#handOver());
      }
    } else if (this.#at === 'lane') this.#lane.startReading(this.#socket);
  }

  /** What came while nobody wanted it. Only then is more read. */
  #handOver(): void {
    this.#isHandingOver = false;
    if (this.paused || this.#at !== 'lane') return;
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.received(held, 'fresh');
    if (this.paused || this.#at !== 'lane') return;
    const fate = this.#heldFate;
    this.#heldFate = undefined;
    if (fate !== undefined) this.#readingEnded(fate);
    else this.#lane.startReading(this.#socket);
  }

  #readByLane(offset: number, length: number): void {
    const chunk = this.#lane.bytesAt(offset, length);
    if (!this.paused && this.#held === undefined) return this.received(chunk, 'shared');
    this.#held = this.#held === undefined ? Buffer.from(chunk) : Buffer.concat([this.#held, chunk]);
  }

  /** Into the buffer that was lent. One read in each turn: others have theirs between them. */
  #readHere(): void {
    const into = this.#lent;
    // Paused in this very turn; what is there is found when reading starts again.
    if (this.paused) return;
    if (into === undefined) return this.#lane.startReading(this.#socket);
    const share = this.#lane.shareOf(into);
    const got = this.#lane.addon.read(this.#socket, share);
    if (got > 0) {
      this.received(got === share.length ? share : share.subarray(0, got), 'lent');
      // Where there is more, it has its next turn.
      if (!this.paused && this.#at === 'lane') this.#lane.startReading(this.#socket);
    } else if (got === 0) this.#readingEnded({ at: 'ended' });
    else if (-got !== EAGAIN) this.#readingEnded({ at: 'failed', error: systemError(-got, 'read') });
  }

  #readingEnded(fate: Fate): void {
    if (this.paused || this.#held !== undefined) {
      this.#heldFate = fate;
      return;
    }
    if (this.fate !== 'open') return;
    // What the peer has reset looks like an end to whoever reads after the write that failed.
    if (this.#broken !== undefined) return this.#fail(this.#broken);
    if (fate.at === 'failed') return this.#fail(fate.error);
    this.meet(fate);
    this.#closeWhenBothEnded();
  }

  #fail(error: Error | undefined): void {
    if (this.#at !== 'lane') return;
    this.#at = 'closed';
    this.#lane.close(this.#socket);
    this.#closed(error);
  }

  #dialled(errno: number): void {
    const heard = this.#dialling;
    this.#dialling = undefined;
    if (errno === 0) return heard?.(undefined);
    const error = systemError(errno, 'connect');
    heard?.(error);
    this.destroy();
  }

  #send(bytes: Uint8Array | string): number {
    if (typeof bytes !== 'string') return this.#lane.addon.write(this.#socket, bytes);
    const text = bytes.length > TEXT_MAX ? bytes.slice(0, TEXT_MAX) : bytes;
    return this.#lane.addon.writeText(this.#socket, text);
  }

  get #hasUnsent(): boolean {
    return this.#outbox?.isEmpty === false;
  }

  #queue(bytes: Uint8Array, written: Written | undefined): void {
    this.#outbox ??= new Outbox();
    this.#outbox.add(bytes, written);
  }

  #flush(): void {
    const failed = this.#outbox?.flush(
      (bytes) => this.#send(bytes),
      () => this.#at === 'lane',
    );
    if (failed !== undefined && failed < 0) return this.#breakOff(failed, undefined);
    if (this.#writing === 'ending' && this.#at === 'lane' && !this.#hasUnsent) this.#shutDown();
  }

  /** Nothing more can be written. What the peer had said before is still there to be read, an early answer above all. */
  #breakOff(errno: number, written: Written | undefined): void {
    const error = systemError(-errno, 'write');
    this.#broken = error;
    const unsent = this.#outbox?.takeAll() ?? [];
    queueMicrotask(() => {
      written?.(error);
      for (const one of unsent) one.written?.(error);
      if (this.#at !== 'lane') return;
      // Only of a peer that has gone can an end be read behind it.
      const isGone = -errno === EPIPE || -errno === ECONNRESET;
      if (!isGone || this.paused || this.fate === 'ended') this.#fail(error);
      else this.#lane.startReading(this.#socket);
    });
  }

  #shutDown(): void {
    this.#lane.addon.shutDown(this.#socket);
    this.#writing = 'ended';
    const done = this.#onEnded;
    this.#onEnded = undefined;
    queueMicrotask(() => {
      done?.();
      this.#closeWhenBothEnded();
    });
  }

  #closeWhenBothEnded(): void {
    if (this.#writing === 'ended' && this.fate === 'ended') this.destroy();
  }

  #closed(error: Error | undefined): void {
    keepAlive.delete(this);
    for (const { written } of this.#outbox?.takeAll() ?? []) written?.(error ?? destroyedError());
    const done = this.#onEnded;
    this.#onEnded = undefined;
    done?.();
    this.#held = undefined;
    this.#heldFate = undefined;
    if (this.fate === 'open' || error !== undefined) this.meet({ at: 'failed', error });
    this.#tellClosed();
  }

  #tellClosed(): void {
    const heard = this.#onClose;
    this.#onClose = undefined;
    for (const one of heard ?? []) one();
  }
}

const EAGAIN = 11;
const EPIPE = 32;
const ECONNRESET = 104;
const bytesOf = (bytes: Uint8Array | string): Uint8Array =>
  typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
