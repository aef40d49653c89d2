import { Socket } from 'node:net';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import type { Sink, WriteCallback } from '../contracts/wire.ts';
import { SOCKET_EVENTS } from '../native/abi.ts';
import { systemError } from '../native/system-error.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import { type BoundSilence, KEEP_ALIVE_DELAY_MS, type KeepAliveTarget, keepAlive } from './deferred-keep-alive.ts';
import { EpollReader } from './epoll-reader.ts';
import { descriptorOf } from './node-internals.ts';
import { resetSocket } from './node-wire.ts';
import { Outbox } from './outbox.ts';
import type { SocketOwner, SocketTable } from './socket-table.ts';

const { EPIPE, ECONNRESET } = constants.errno;

/** Texts up to this length go out without becoming a buffer first; native/epoll_sockets_module.cc has space for so many. */
const TEXT_MAX = 16_000;

const destroyedError = (): Error =>
  Object.assign(new Error('the connection is closed'), { code: 'ERR_STREAM_DESTROYED' });

/** A descriptor that its wire has given away, and the bytes that were read from it and not delivered. */
export interface TakenFd {
  readonly fd: number;
  readonly early: Buffer;
}

type OnDialled = (error: Error | undefined) => void;

/** A socket of the addon: wire and stream in one, so that a connection is one object. */
export class EpollWire extends EpollReader implements Sink, KeepAliveTarget, SocketOwner {
  slot: number = NO_SLOT;
  /** Number of the listener that has accepted it; `undefined`: it was dialled. */
  acceptedBy: number | undefined;
  seenByScan = false;
  bytesWritten = 0;
  /** Called once, when connecting has ended. */
  #onDialled: OnDialled | undefined;
  /** Made by the first write that the kernel does not take at once. */
  #outbox: Outbox | undefined;
  /** Of a socket that has moved into a stream of Node: whether the kernel bounds the silence of its peer. */
  #isBound = false;
  #writing: 'open' | 'ending' | 'ended' = 'open';
  #onEnded: (() => void) | undefined;
  #onClose: (() => void)[] | undefined;

  constructor(table: SocketTable, socket: number, onDialled: OnDialled | undefined) {
    super(table, socket);
    this.#onDialled = onDialled;
    table.register(socket, this);
    keepAlive.add(this);
  }

  get stream(): Sink {
    return this;
  }

  get destroyed(): boolean {
    return this.place === 'epoll' ? false : typeof this.place === 'string' || this.place.destroyed;
  }

  get writableEnded(): boolean {
    return this.#writing !== 'open';
  }

  get writableLength(): number {
    return this.#outbox?.bytes ?? 0;
  }

  onEvent(kind: number, a: number, b: number): void {
    try {
      if (kind === SOCKET_EVENTS.writable) this.#flush();
      else if (kind === SOCKET_EVENTS.connected) this.#dialled(a);
      else this.onReadEvent(kind, a, b);
    } catch (error) {
      // A receiver that has thrown is in no state to go on: its connection ends, and no other.
      this.reset();
      throw error;
    }
  }

  write(bytes: Uint8Array | string, how?: 'latin1' | WriteCallback): void {
    const written = typeof how === 'function' ? how : undefined;
    if (this.place !== 'epoll' || this.#writing !== 'open' || this.writeError !== undefined) {
      if (written !== undefined) queueMicrotask(() => written(this.writeError ?? destroyedError()));
      return;
    }
    // A text is Latin-1: a byte for each character.
    this.bytesWritten += bytes.length;
    if (this.#hasUnsent) return this.#queue(bytesOf(bytes), written);
    const sent = this.#send(bytes);
    if (sent === bytes.length) return written?.();
    if (sent < 0) return this.#breakOff(sent, written);
    this.#queue(bytesOf(bytes).subarray(sent), written);
    // Of a long text only the beginning was sent, and the socket may take more.
    if (typeof bytes === 'string') this.#flush();
  }

  end(done?: () => void): void {
    if (this.#writing !== 'open' || this.place !== 'epoll') {
      if (done !== undefined) queueMicrotask(done);
      return;
    }
    this.#writing = 'ending';
    this.#onEnded = done;
    if (!this.#hasUnsent) this.#shutDown();
  }

  destroy(): void {
    this.#close('close');
  }

  reset(): void {
    this.#close('reset');
  }

  #close(how: 'close' | 'reset'): void {
    if (this.place === 'epoll') {
      this.place = 'closed';
      this.table[how](this.socket);
      queueMicrotask(() => this.#closed(undefined));
    } else if (how === 'close' && typeof this.place !== 'string') this.place.destroy();
    else if (this.place instanceof Socket) resetSocket(this.place);
  }

  once(_event: 'close', listener: () => void): void {
    // Nearly always the only one: an array that grows would make space for sixteen more.
    this.#onClose = this.#onClose === undefined ? [listener] : [...this.#onClose, listener];
  }

  enableKeepAlive(delayMs: number): void {
    if (this.place === 'epoll') this.table.addon.keepAlive(this.socket, Math.ceil(delayMs / 1_000));
  }

  boundSilence(afterMs: number, of: BoundSilence | undefined): void {
    if (this.place === 'epoll') return this.table.addon.boundSilence(this.socket, afterMs);
    const fd = this.place instanceof Socket ? descriptorOf(this.place) : undefined;
    if (of !== undefined && fd !== undefined) this.#isBound = of(fd, afterMs, this.#isBound);
  }

  toDuplex(): Duplex {
    if (typeof this.place !== 'string') return this.place;
    const taken = this.#takeOut();
    if (taken === undefined) {
      const failed = this.heldError ?? this.writeError;
      this.destroy();
      return new Socket().on('error', () => undefined).destroy(failed);
    }
    const socket = new Socket({ fd: taken.fd, allowHalfOpen: true });
    this.place = socket;
    // An error without a listener would end the process, and its new reader may listen to others only.
    socket
      .on('error', () => undefined)
      .once('close', () => {
        keepAlive.delete(this);
        this.#emitClose();
      });
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    keepAlive.add(this);
    if (taken.early.length > 0) socket.unshift(taken.early);
    for (const { bytes, written } of this.#outbox?.takeAll() ?? []) socket.write(bytes, (error) => written?.(error));
    const done = this.#takeOnEnded();
    if (this.#writing !== 'open') socket.end(done);
    return socket;
  }

  /**
   * The descriptor, for an owner that needs no wire. The connection lives on there; this wire is closed from now on.
   * `undefined`: bytes or an error are on their way in or out that would be lost, and nothing has happened.
   */
  takeFd(): TakenFd | undefined {
    if (this.#writing !== 'open' || this.#hasUnsent) return undefined;
    const taken = this.#takeOut();
    if (taken !== undefined) queueMicrotask(() => this.#emitClose());
    return taken;
  }

  #takeOut(): TakenFd | undefined {
    if (this.place !== 'epoll' || this.#onDialled !== undefined || this.writeError !== undefined) return undefined;
    const early = this.takeHeld();
    if (early === undefined) return undefined;
    keepAlive.delete(this);
    this.deliverTo(undefined);
    this.place = 'taken';
    return { fd: this.table.takeFd(this.socket), early };
  }

  protected readEnded(): void {
    if (this.#writing === 'ended' && this.readState === 'ended') this.destroy();
  }

  protected fail(error: Error | undefined, how: 'close' | 'reset' = 'close'): void {
    if (this.place !== 'epoll') return;
    this.place = 'closed';
    this.table[how](this.socket);
    this.#closed(error);
  }

  #dialled(errno: number): void {
    const onDialled = this.#onDialled;
    this.#onDialled = undefined;
    if (errno === 0) return onDialled?.(undefined);
    onDialled?.(systemError(errno, 'connect'));
    this.destroy();
  }

  #send(bytes: Uint8Array | string): number {
    if (typeof bytes !== 'string') return this.table.addon.write(this.socket, bytes);
    const text = bytes.length > TEXT_MAX ? bytes.slice(0, TEXT_MAX) : bytes;
    return this.table.addon.writeText(this.socket, text);
  }

  get #hasUnsent(): boolean {
    return this.#outbox?.isEmpty === false;
  }

  #queue(bytes: Uint8Array, written: WriteCallback | undefined): void {
    this.#outbox ??= new Outbox();
    this.#outbox.add(bytes, written);
  }

  #flush(): void {
    const failed = this.#outbox?.flush(
      (bytes) => this.#send(bytes),
      () => this.place === 'epoll',
    );
    if (failed !== undefined && failed < 0) return this.#breakOff(failed, undefined);
    if (this.#writing === 'ending' && this.place === 'epoll' && !this.#hasUnsent) this.#shutDown();
  }

  /** Nothing more can be written. What the peer sent before is still there to be read, an early response above all. */
  #breakOff(errno: number, written: WriteCallback | undefined): void {
    const error = systemError(-errno, 'write');
    this.writeError = error;
    const unsent = this.#outbox?.takeAll() ?? [];
    queueMicrotask(() => {
      written?.(error);
      for (const one of unsent) one.written?.(error);
      if (this.place !== 'epoll') return;
      // Only of a peer that has gone can an end be read behind it.
      const isGone = -errno === EPIPE || -errno === ECONNRESET;
      // Otherwise the system here has failed: the peer has not got all, and must not take that for the end of the data.
      if (!isGone) this.fail(error, 'reset');
      else if (this.paused || this.readState === 'ended') this.fail(error);
      else this.table.startReading(this.socket);
    });
  }

  #shutDown(): void {
    this.table.addon.shutDown(this.socket);
    this.#writing = 'ended';
    const done = this.#takeOnEnded();
    queueMicrotask(() => {
      done?.();
      this.readEnded();
    });
  }

  #takeOnEnded(): (() => void) | undefined {
    const done = this.#onEnded;
    this.#onEnded = undefined;
    return done;
  }

  #closed(error: Error | undefined): void {
    keepAlive.delete(this);
    for (const { written } of this.#outbox?.takeAll() ?? []) written?.(error ?? destroyedError());
    this.#takeOnEnded()?.();
    this.dropHeld();
    if (this.readState === 'open' || error !== undefined) this.finishReading({ at: 'failed', error });
    this.#emitClose();
  }

  #emitClose(): void {
    const listeners = this.#onClose;
    this.#onClose = undefined;
    for (const one of listeners ?? []) one();
  }
}

const bytesOf = (bytes: Uint8Array | string): Uint8Array =>
  typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
