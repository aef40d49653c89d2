import {
  NUMBERS_PER_EVENT,
  SHARED_BUFFER_BYTES,
  SOCKET_EVENTS,
  SOCKET_EVENTS_MAX,
  SOCKET_INDEX_BITS,
  SOCKETS_MAX,
  STATE_OWNER_READS,
  STATE_READY,
  STATE_WANTED,
} from '../native/abi.ts';
import type { EpollAddon } from '../native/addon.ts';
import { tickBudget } from './tick-budget.ts';

/** Receives the events of one socket: the kind, and numbers that depend on it (SOCKET_EVENTS in native/abi.ts). */
export interface SocketOwner {
  onEvent(kind: number, a: number, b: number, c: number): void;
}

/** What the kernel said in a tick is believed for so long: less than the way to any origin takes. */
const FRESH_MS = 1;

/** Of an event that has been taken already. */
const NO_SOCKET = -1;

const INDEX_MASK = (1 << SOCKET_INDEX_BITS) - 1;

/**
 * The sockets of the addon and their owners. All events of a tick come in one call, as numbers in memory that both sides
 * share. The number of a socket has a generation: one that is closed means no later socket.
 */
export class SocketTable {
  readonly addon: EpollAddon;
  /** By index. */
  readonly #owners: (SocketOwner | undefined)[] = [];
  readonly #states = new Uint8Array(SOCKETS_MAX);
  readonly #events = new Int32Array(SOCKET_EVENTS_MAX * NUMBERS_PER_EVENT);
  readonly #buffer: Buffer;
  /** The events of this tick that have not been dispatched yet. */
  #next = 0;
  #until = 0;
  /** How often the kernel has named the sockets that have something to be read. */
  #ticks = 0;
  #tickAtMs = Number.NEGATIVE_INFINITY;
  #isTickScheduled = false;
  /** Sockets that read into buffers of their own in this tick and in the last one: they share what a tick may read. */
  #readers = 0;
  #readersBefore = 0;
  #budget = tickBudget(1);

  /** Throws when this Node or this system cannot have them. */
  constructor(addon: EpollAddon) {
    this.addon = addon;
    const memory = new ArrayBuffer(SHARED_BUFFER_BYTES);
    this.#buffer = Buffer.from(memory);
    addon.start((events, hasMore) => this.#dispatch(events, hasMore), this.#states.buffer, this.#events.buffer, memory);
  }

  register(socket: number, owner: SocketOwner): void {
    this.#owners[socket & INDEX_MASK] = owner;
  }

  close(socket: number): void {
    this.#owners[socket & INDEX_MASK] = undefined;
    this.addon.close(socket);
  }

  reset(socket: number): void {
    this.#owners[socket & INDEX_MASK] = undefined;
    this.addon.reset(socket);
  }

  /** Its descriptor, which is the caller's from now on. */
  takeFd(socket: number): number {
    this.#owners[socket & INDEX_MASK] = undefined;
    return this.addon.takeFd(socket);
  }

  /** Bytes that were read; they stay there until the next tick. */
  bytesAt(offset: number, length: number): Buffer {
    return this.#buffer.subarray(offset, offset + length);
  }

  /** The events of `socket` in this tick that have not been dispatched yet; they will not be. */
  *takePendingEvents(socket: number): Iterable<readonly [kind: number, a: number, b: number]> {
    const numbers = this.#events;
    for (let at = this.#next; at < this.#until; at += NUMBERS_PER_EVENT) {
      if (numbers[at + 1] !== socket) continue;
      numbers[at + 1] = NO_SOCKET;
      yield [numbers[at] ?? -1, numbers[at + 2] ?? 0, numbers[at + 3] ?? 0];
    }
  }

  hasPendingEvents(socket: number): boolean {
    for (let at = this.#next; at < this.#until; at += NUMBERS_PER_EVENT) {
      if (this.#events[at + 1] === socket) return true;
    }
    return false;
  }

  get ticks(): number {
    return this.#ticks;
  }

  /** Whether the kernel was asked a moment ago: a timer may come long after the last tick. */
  get isFresh(): boolean {
    return performance.now() - this.#tickAtMs < FRESH_MS;
  }

  /** Whether the kernel has named the socket, and what it had has not been read to its end. */
  isReady(socket: number): boolean {
    return ((this.#states[socket & INDEX_MASK] ?? 0) & STATE_READY) !== 0;
  }

  startReading(socket: number): void {
    const index = socket & INDEX_MASK;
    const state = (this.#states[index] ?? 0) | STATE_WANTED;
    this.#states[index] = state;
    if ((state & STATE_READY) === 0) return;
    this.addon.readLater(socket);
    this.#scheduleTick();
  }

  stopReading(socket: number): void {
    const index = socket & INDEX_MASK;
    this.#states[index] = (this.#states[index] ?? 0) & ~STATE_WANTED;
  }

  /** As much of a lent buffer as a socket may fill in this tick, when others do so too. */
  shareOf(lent: Buffer): Buffer {
    this.#readers += 1;
    return this.#budget >= lent.length ? lent : lent.subarray(0, this.#budget);
  }

  /** Whether the owner reads by itself, or finds the bytes in the shared buffer. */
  readInto(socket: number, buffer: 'own' | 'shared'): void {
    const index = socket & INDEX_MASK;
    const state = this.#states[index] ?? 0;
    this.#states[index] = buffer === 'own' ? state | STATE_OWNER_READS : state & ~STATE_OWNER_READS;
  }

  /** Sockets that have more are read again when the loop has looked at all others. */
  #scheduleTick(): void {
    if (this.#isTickScheduled) return;
    this.#isTickScheduled = true;
    setImmediate(this.#tick);
  }

  readonly #tick = (): void => {
    this.#isTickScheduled = false;
    this.addon.tick();
  };

  #dispatch(events: number, hasMore: boolean): void {
    const numbers = this.#events;
    this.#ticks += 1;
    this.#tickAtMs = performance.now();
    this.#until = events * NUMBERS_PER_EVENT;
    for (let at = 0; at < this.#until; at += NUMBERS_PER_EVENT) {
      this.#next = at + NUMBERS_PER_EVENT;
      const [kind = -1, socket = NO_SOCKET] = [numbers[at], numbers[at + 1]];
      if (socket !== NO_SOCKET) this.#dispatchOne(kind, socket, at);
    }
    this.#until = 0;
    // Two calls may make up one round of the loop: the sockets that had more, and those that the kernel names.
    this.#budget = tickBudget(Math.max(1, this.#readers, this.#readersBefore));
    this.#readersBefore = this.#readers;
    this.#readers = 0;
    if (hasMore) this.#scheduleTick();
  }

  #dispatchOne(kind: number, socket: number, at: number): void {
    const numbers = this.#events;
    const [a = 0, b = 0, c = 0] = [numbers[at + 2], numbers[at + 3], numbers[at + 4]];
    const isAccepted = kind === SOCKET_EVENTS.accepted;
    const owner = this.#owners[(isAccepted ? a : socket) & INDEX_MASK];
    try {
      if (owner !== undefined) owner.onEvent(kind, isAccepted ? socket : a, b, c);
      // Its listener was closed earlier in this tick.
      else if (isAccepted) this.addon.close(socket);
    } catch (error) {
      // Thrown as in any callback of the loop, and not here: the other sockets of this tick get their events.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
