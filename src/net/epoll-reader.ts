import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { SOCKET_EVENTS } from '../native/abi.ts';
import { systemError } from '../native/system-error.ts';
import { BaseWire, type ReadState } from './base-wire.ts';
import type { SocketTable } from './socket-table.ts';

const { EAGAIN } = constants.errno;

/** Where the socket is: in the table, closed, its descriptor given away, or in a stream of Node. */
export type SocketPlace = 'epoll' | 'closed' | 'taken' | Duplex;

const NOTHING = Buffer.alloc(0);

/** The reading half of a socket of the addon: what is held back while its reader pauses, and in which order that comes. */
export abstract class EpollReader extends BaseWire {
  protected readonly table: SocketTable;
  protected readonly socket: number;
  protected place: SocketPlace = 'epoll';
  /** Why nothing can be written any more, though there may be bytes to read. */
  protected writeError: Error | undefined;
  #lent: Buffer | undefined;
  /** What came in the tick in which the reader paused. */
  #held: Buffer | undefined;
  #heldEnd: ReadState | undefined;
  #isDeliveryPlanned = false;
  /** The tick in which the socket was last read, or its reading began. */
  #readInTick = 0;

  constructor(table: SocketTable, socket: number) {
    super();
    this.table = table;
    this.socket = socket;
  }

  /** Closes the socket with an error, and tells the receiver. */
  protected abstract fail(error: Error | undefined): void;
  /** The reading half has ended, and its receiver knows. */
  protected abstract readEnded(): void;

  get isQuiet(): boolean {
    if (this.place !== 'epoll' || this.#held !== undefined || this.#heldEnd !== undefined) return false;
    if (this.readState !== 'open' || this.writeError !== undefined) return false;
    const { table, socket } = this;
    if (table.hasPendingEvents(socket)) return false;
    // The kernel was asked a moment ago, and did not name the socket. Asking again would cost a small request a twelfth of its
    // time, and would still not see what comes one moment later.
    if (this.#readInTick !== table.ticks && !table.isReady(socket) && table.isFresh) return true;
    return table.addon.isQuiet(socket);
  }

  lend(buffer: Buffer | undefined): void {
    this.#lent = buffer;
    if (this.place === 'epoll') this.table.readInto(this.socket, buffer === undefined ? 'shared' : 'own');
  }

  protected onReadEvent(kind: number, a: number, b: number): void {
    this.#readInTick = this.table.ticks;
    if (kind === SOCKET_EVENTS.bytes) this.#receiveShared(a, b);
    else if (kind === SOCKET_EVENTS.readable) this.#readIntoLent();
    else if (kind === SOCKET_EVENTS.ended) this.#readingEnded({ at: 'ended' });
    else if (kind === SOCKET_EVENTS.failed) this.#readingEnded({ at: 'failed', error: systemError(a, 'read') });
  }

  /** The error that is held back behind the bytes, if any. */
  protected get heldError(): Error | undefined {
    return this.#heldEnd?.at === 'failed' ? this.#heldEnd.error : undefined;
  }

  /**
   * All that was read and not delivered, for the next owner of the socket. `undefined`: there is an error behind it, which
   * the kernel does not report again as it does an end; the reader gets both as if nothing had been asked.
   */
  protected takeHeld(): Buffer | undefined {
    if (this.#heldEnd?.at === 'failed') return undefined;
    let early = this.#held ?? NOTHING;
    for (const [kind, a, b] of this.table.takePendingEvents(this.socket)) {
      if (kind === SOCKET_EVENTS.failed) {
        this.#heldEnd = { at: 'failed', error: systemError(a, 'read') };
        this.#held = early.length > 0 ? early : undefined;
        if (!this.paused) this.startReading();
        return undefined;
      }
      if (kind === SOCKET_EVENTS.bytes) early = Buffer.concat([early, this.table.bytesAt(a, b)]);
    }
    this.dropHeld();
    return early;
  }

  protected dropHeld(): void {
    this.#held = undefined;
    this.#heldEnd = undefined;
  }

  protected stopReading(): void {
    if (this.place === 'epoll') this.table.stopReading(this.socket);
  }

  protected startReading(): void {
    this.#readInTick = this.table.ticks;
    if (this.#held === undefined && this.#heldEnd === undefined) {
      if (this.place === 'epoll') this.table.startReading(this.socket);
    } else if (!this.#isDeliveryPlanned) {
      this.#isDeliveryPlanned = true;
      queueMicrotask(() => this.#deliverHeld());
    }
  }

  /** What came while the reader paused. Only then is more read. */
  #deliverHeld(): void {
    this.#isDeliveryPlanned = false;
    if (this.paused || this.place !== 'epoll') return;
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.received(held, 'fresh');
    if (this.paused || this.place !== 'epoll') return;
    const end = this.#heldEnd;
    this.#heldEnd = undefined;
    if (end !== undefined) this.#readingEnded(end);
    else this.table.startReading(this.socket);
  }

  #receiveShared(offset: number, length: number): void {
    const chunk = this.table.bytesAt(offset, length);
    if (!this.paused && this.#held === undefined) return this.received(chunk, 'shared');
    this.#held = this.#held === undefined ? Buffer.from(chunk) : Buffer.concat([this.#held, chunk]);
  }

  /** Into the buffer that was lent. One read in each tick: other sockets are read between two of them. */
  #readIntoLent(): void {
    const into = this.#lent;
    // Paused in this very tick; the bytes are found when reading starts again.
    if (this.paused) return;
    if (into === undefined) return this.table.startReading(this.socket);
    const share = this.table.shareOf(into);
    const got = this.table.addon.read(this.socket, share);
    if (got > 0) {
      this.received(got === share.length ? share : share.subarray(0, got), 'lent');
      // Where there is more, the next tick reads it.
      if (!this.paused && this.place === 'epoll') this.table.startReading(this.socket);
    } else if (got === 0) this.#readingEnded({ at: 'ended' });
    else if (-got !== EAGAIN) this.#readingEnded({ at: 'failed', error: systemError(-got, 'read') });
  }

  #readingEnded(end: ReadState): void {
    if (this.paused || this.#held !== undefined) {
      this.#heldEnd = end;
      return;
    }
    if (this.readState !== 'open') return;
    // Behind a write that failed, the reset of the peer looks like an end.
    if (this.writeError !== undefined) return this.fail(this.writeError);
    if (end.at === 'failed') return this.fail(end.error);
    this.finishReading(end);
    this.readEnded();
  }
}
