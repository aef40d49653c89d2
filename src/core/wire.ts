import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AnyWire } from './any-wire.ts';
import { keepAlive, type Probed } from './late-keep-alive.ts';
import { NO_SLOT } from './roster.ts';

/**
 * Reads of all sockets that have lent no buffer of their own land here: an idle connection then costs no buffer at all.
 * 64 KiB: a smaller one costs bulk data a system call more per read, a larger one is rarely filled.
 */
const SHARED = Buffer.allocUnsafeSlow(65_536);

/** What a wire hears of its stream; made for one stream, so that a wire without one keeps nothing. */
interface Ears {
  readonly error: (error: Error) => void;
  readonly end: () => void;
  readonly close: () => void;
}

/** A wire around a stream of Node. */
abstract class NodeWire<S extends Duplex> extends AnyWire {
  abstract override readonly stream: S;
  #ears: Ears | undefined;

  toDuplex(): Duplex {
    return this.stream;
  }

  /** A wire listens for as long as its socket lives, so that no error is ever without a listener. */
  protected listen(stream: S): void {
    let failure: Error | undefined;
    const ears: Ears = {
      error: (error) => {
        failure ??= error;
      },
      end: () => {
        if (this.fate === 'open') this.meet({ at: 'ended' });
      },
      close: () => {
        this.closed();
        // A peer that ended and then closed has done nothing wrong; one that ended and then reset has.
        if (this.fate === 'open' || failure !== undefined) this.meet({ at: 'failed', error: failure });
      },
    };
    stream.on('error', ears.error).on('end', ears.end).on('close', ears.close);
    this.#ears = ears;
  }

  protected closed(): void {}

  /** For a wire that gives its stream away. */
  protected deafen(stream: S): void {
    const ears = this.#ears;
    if (ears === undefined) return;
    stream.off('error', ears.error).off('end', ears.end).off('close', ears.close);
    this.#ears = undefined;
  }
}

/**
 * Bytes that all busy wires together may read in one turn of the loop, and the least for each of them. libuv reads on
 * while a socket fills the buffer, up to 32 times before it looks at another, which is 25 ms for whoever types next to
 * four downloads. Large reads cost less CPU per byte; a turn of half a megabyte is about 0.4 ms.
 */
const TURN_BYTES = 524_288;
const READ_BYTES_MIN = 131_072;

/** What each of so many may read in one turn. */
export const turnShare = (busy: number): number => Math.max(READ_BYTES_MIN, Math.floor(TURN_BYTES / busy));

/** Wires that have read their share of this turn; they go on in the next. */
const resting: SocketWire[] = [];
/** Largest read of each wire in this turn. */
let share = TURN_BYTES;

function endTurn(): void {
  const busy = resting.splice(0);
  share = turnShare(busy.length);
  for (const wire of busy) wire.wake();
}

/** Stands for the socket of a wire that has given its own away. */
let gone: Socket | undefined;

/** Closes with a reset, or as one can. */
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

/** A socket that was opened with `onread`: no allocation for a read, and no more than its share of a turn. */
export class SocketWire extends NodeWire<Socket> implements Probed {
  slot: number = NO_SLOT;
  wasSeen = false;
  #socket: Socket | undefined;
  #buffer: Buffer = SHARED;
  #lent: Buffer | undefined;
  #isResting = false;
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

  /**
   * The descriptor under the socket, for whoever can do without Node. It is not public: where Node hides it, or the socket
   * is closed already, there is none, and the bytes are moved here as ever.
   */
  get descriptor(): number | undefined {
    const handle: unknown = Reflect.get(this.stream, '_handle');
    if (typeof handle !== 'object' || handle === null) return undefined;
    const fd: unknown = Reflect.get(handle, 'fd');
    return typeof fd === 'number' && fd >= 0 ? fd : undefined;
  }

  /**
   * Closes our descriptor without a word to the peer, after somebody else has made a copy of it. Until the copy is closed
   * the connection lives; this wire is a closed one from now on, and keeps nothing of the socket in memory.
   */
  detach(): void {
    const { stream } = this;
    keepAlive.delete(this);
    this.deliverTo(undefined);
    gone ??= new Socket().destroy();
    this.#socket = gone;
    this.deafen(stream);
    stream.destroy();
  }

  askForProbes(delayMs: number): void {
    this.stream.setKeepAlive(true, delayMs);
  }

  protected override closed(): void {
    keepAlive.delete(this);
  }

  /** The next turn has begun. */
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
    this.received(Buffer.from(buffer.buffer, buffer.byteOffset, bytes), buffer === SHARED ? 'shared' : 'lent');
    this.#inCallback = false;
    if (this.paused) return false;
    if (bytes < buffer.byteLength) return true;
    this.#isResting = true;
    if (resting.push(this) === 1) setImmediate(endTurn);
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
   * Gives the stream away with nothing of ours left on it. Whoever gets it reads it as if it were new: Node takes a
   * paused stream for one that its reader has paused, and a listener for data would wait for ever.
   */
  async release(): Promise<Duplex> {
    const nothing = (): void => undefined;
    this.stream.off('data', this.#onData).on('readable', nothing).off('readable', nothing);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    // Not before: until its new owner has it, an error needs a listener.
    this.deafen(this.stream);
    return this.stream;
  }

  protected stopReading(): void {
    this.stream.pause();
  }

  protected startReading(): void {
    this.stream.resume();
  }
}
