import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { NO_SLOT } from '../util/slot-list.ts';
import { BaseWire } from './base-wire.ts';
import { type BoundSilence, type KeepAliveTarget, keepAlive } from './deferred-keep-alive.ts';
import { descriptorOf } from './node-internals.ts';
import { TICK_BYTES, tickBudget } from './tick-budget.ts';

/**
 * Reads of all sockets that have lent no buffer of their own land here: an idle connection then costs no buffer at all.
 * 64 KiB: a smaller one costs bulk data a system call more per read, a larger one is rarely filled.
 */
const SHARED = Buffer.allocUnsafeSlow(65_536);

/** Listeners of a wire on its stream; made for one stream, so that a wire without one keeps nothing. */
interface StreamListeners {
  readonly error: (error: Error) => void;
  readonly end: () => void;
  readonly close: () => void;
}

/** A wire around a stream of Node. */
abstract class NodeWire<S extends Duplex> extends BaseWire {
  abstract override readonly stream: S;
  /** Node has no function that reports it. */
  readonly isQuiet = undefined;
  #listeners: StreamListeners | undefined;

  get bytesWritten(): number | undefined {
    return 'bytesWritten' in this.stream && typeof this.stream.bytesWritten === 'number'
      ? this.stream.bytesWritten
      : undefined;
  }

  toDuplex(): Duplex {
    return this.stream;
  }

  /** A wire listens for as long as its socket lives: an error without a listener would end the process. */
  protected listen(stream: S): void {
    let failure: Error | undefined;
    const listeners: StreamListeners = {
      error: (error) => {
        failure ??= error;
      },
      end: () => {
        if (this.readState === 'open') this.finishReading({ at: 'ended' });
      },
      close: () => {
        this.closed();
        // FIN then close is a clean end; FIN then RST is an error.
        if (this.readState === 'open' || failure !== undefined) this.finishReading({ at: 'failed', error: failure });
      },
    };
    stream.on('error', listeners.error).on('end', listeners.end).on('close', listeners.close);
    this.#listeners = listeners;
  }

  protected closed(): void {}

  /** For a wire whose stream gets another owner. */
  protected removeListeners(stream: S): void {
    const listeners = this.#listeners;
    if (listeners === undefined) return;
    stream.off('error', listeners.error).off('end', listeners.end).off('close', listeners.close);
    this.#listeners = undefined;
  }
}

let open = 0;

/** Sockets of Node that are open as wires, in this thread. */
export const nodeWireCount = (): number => open;

/** Wires that have read their share of this tick; they go on in the next. */
const resting: SocketWire[] = [];
/** Largest read of each wire in this tick. */
let share = TICK_BYTES;

function endTick(): void {
  const busy = resting.splice(0);
  share = tickBudget(busy.length);
  for (const wire of busy) wire.wake();
}

/** Stands for the socket of a wire whose descriptor has been copied. */
let gone: Socket | undefined;

/** Closes with a reset, where Node can. */
export function resetSocket(socket: Socket): void {
  const { writableEnded, writableFinished, writableLength } = socket;
  // While the FIN is on its way libuv refuses to reset, and Node then never closes the socket: it would be lost.
  if (writableEnded && !writableFinished && writableLength === 0) socket.destroy();
  else socket.resetAndDestroy();
}

interface OnRead {
  readonly buffer: () => Buffer;
  readonly callback: (bytes: number, buffer: Uint8Array) => boolean;
}

/** A socket that was opened with `onread`: no allocation for a read, and no more than its share of a tick. */
export class SocketWire extends NodeWire<Socket> implements KeepAliveTarget {
  slot: number = NO_SLOT;
  seenByScan = false;
  #socket: Socket | undefined;
  #buffer: Buffer = SHARED;
  #lent: Buffer | undefined;
  #isResting = false;
  #isBound = false;
  #inCallback = false;

  /** To be passed to `net.connect` or `new net.Socket`; then call `attach` with the socket. */
  get onread(): OnRead {
    return { buffer: () => this.#window(), callback: (bytes, buffer) => this.#read(bytes, buffer) };
  }

  get stream(): Socket {
    if (this.#socket === undefined) throw new Error('the wire has no socket yet');
    return this.#socket;
  }

  attach(socket: Socket): this {
    this.#socket = socket;
    open += 1;
    this.listen(socket);
    socket.pause();
    keepAlive.add(this);
    return this;
  }

  reset(): void {
    resetSocket(this.stream);
  }

  lend(buffer: Buffer | undefined): void {
    this.#lent = buffer;
  }

  /** For the native relay; `undefined`: there is none, and the relay in TypeScript moves the bytes. */
  get descriptor(): number | undefined {
    return descriptorOf(this.stream);
  }

  /**
   * Closes the descriptor without sending FIN or RST, after the relay's thread has made a copy of it. Until the copy is
   * closed the connection lives; this wire is closed from now on, and keeps nothing of the socket in memory.
   */
  detach(): void {
    const { stream } = this;
    keepAlive.delete(this);
    this.deliverTo(undefined);
    gone ??= new Socket().destroy();
    this.#socket = gone;
    open -= 1;
    this.removeListeners(stream);
    stream.destroy();
  }

  override toDuplex(): Duplex {
    // Inside the read callback it still flows, and would throw away what its next owner puts back.
    this.stream.pause();
    return this.stream;
  }

  enableKeepAlive(delayMs: number): void {
    this.stream.setKeepAlive(true, delayMs);
  }

  boundSilence(afterMs: number, of: BoundSilence | undefined): void {
    const fd = this.descriptor;
    if (of !== undefined && fd !== undefined) this.#isBound = of(fd, afterMs, this.#isBound);
  }

  protected override closed(): void {
    open -= 1;
    keepAlive.delete(this);
  }

  /** The next tick has begun. */
  wake(): void {
    this.#isResting = false;
    if (!this.paused && !this.stream.destroyed) this.stream.resume();
  }

  protected stopReading(): void {
    // Inside the read callback its return value stops the reading, which is cheaper.
    if (!this.#inCallback) this.stream.pause();
  }

  protected startReading(): void {
    if (!this.#inCallback && !this.#isResting) this.stream.resume();
  }

  #read(bytes: number, buffer: Uint8Array): boolean {
    this.#inCallback = true;
    try {
      this.received(Buffer.from(buffer.buffer, buffer.byteOffset, bytes), buffer === SHARED ? 'shared' : 'lent');
    } catch (error) {
      // A receiver that has thrown is in no state to go on: its connection ends, and no other.
      this.reset();
      throw error;
    } finally {
      this.#inCallback = false;
    }
    if (this.paused) return false;
    if (bytes < buffer.byteLength) return true;
    this.#isResting = true;
    if (resting.push(this) === 1) setImmediate(endTick);
    return false;
  }

  /** Where the next read lands: the shared buffer, or as much of the lent one as this wire's share. */
  #window(): Buffer {
    const lent = this.#lent;
    if (lent === undefined) this.#buffer = SHARED;
    else if (this.#buffer.buffer !== lent.buffer || this.#buffer.length !== Math.min(share, lent.length)) {
      this.#buffer = share >= lent.length ? lent : lent.subarray(0, share);
    }
    return this.#buffer;
  }
}

/** Any other duplex, TLS for one: the same contract over `data` events. */
export class StreamWire extends NodeWire<Duplex> {
  readonly stream: Duplex;
  readonly #onData = (chunk: Buffer): void => this.received(chunk, 'fresh');

  constructor(stream: Duplex) {
    super();
    this.stream = stream;
    this.listen(stream);
    stream.on('data', this.#onData);
    stream.pause();
  }

  reset(): void {
    this.stream.destroy();
  }

  lend(): void {}

  /**
   * Gives the stream to another owner, with none of the wire's listeners on it, and as if it were new: Node takes a paused
   * stream for one that its reader has paused, and a listener for data would wait for ever.
   */
  async takeStream(): Promise<Duplex> {
    const nothing = (): void => undefined;
    this.stream.off('data', this.#onData).on('readable', nothing).off('readable', nothing);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    // Not before: until its new owner listens, an error needs a listener.
    this.removeListeners(this.stream);
    return this.stream;
  }

  protected stopReading(): void {
    this.stream.pause();
  }

  protected startReading(): void {
    this.stream.resume();
  }
}
