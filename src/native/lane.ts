import { turnShare } from '../core/wire.ts';
import { HAPPENED, LANE, type LaneAddon, loadAddon, READS_ITSELF, READY, WANTED } from './addon.ts';
import { LaneWire } from './lane-wire.ts';
import { systemError } from './system-error.ts';

/** Whoever has a socket of the lane. Numbers that come with an event stand in native/lane.h. */
export interface Party {
  happened(kind: number, first: number, second: number, third: number): void;
}

/** A listening socket, and who is told of those that connect to it. */
export interface LaneListener {
  readonly address: string;
  readonly port: number;
  /** Begins to accept. Throws what the system says against it. */
  serve(heard: AcceptedHeard): void;
  close(): void;
}
export interface AcceptedHeard {
  accepted(wire: LaneWire, address: string, port: number): void;
  /** The system could not accept; those who wait do so until it can. */
  failed(error: Error): void;
}

/**
 * The addon's sockets: what Node's do for a proxy, without the streams, handles and callbacks that make up most of their
 * cost. All that happened in a turn of the loop comes in one call, as numbers in memory that both sides see.
 */
export class Lane {
  readonly addon: LaneAddon;
  readonly #parties: (Party | undefined)[] = [];
  readonly #states = new Uint8Array(LANE.socketsMax);
  readonly #happened = new Int32Array(LANE.happenedMax * LANE.numbersEach);
  readonly #buffer: Buffer;
  /** Where the events stand that nobody has been told yet, of the turn at hand. */
  #next = 0;
  #until = 0;
  #isPlanned = false;
  /** Those who have read into buffers of their own in this turn and in the last one: they share what a turn may read. */
  #readers = 0;
  #readersBefore = 0;
  #share = turnShare(1);

  /** Throws when this Node or this system has no place for it. */
  constructor(addon: LaneAddon) {
    this.addon = addon;
    const memory = new ArrayBuffer(LANE.bufferBytes);
    this.#buffer = Buffer.from(memory);
    addon.start(
      (happened, hasMore) => this.#tell(happened, hasMore),
      this.#states.buffer,
      this.#happened.buffer,
      memory,
    );
  }

  /** Throws what the system says against it. Nobody is accepted yet. */
  listen(host: string, askedPort: number, backlog: number, sharing: 'port' | undefined): LaneListener {
    const { addon } = this;
    const socket = addon.listen(host, askedPort, backlog, sharing === 'port');
    if (socket < 0) throw systemError(-socket, 'listen');
    const [address, port] = addon.own(socket);
    let isOpen = true;
    return {
      address,
      port,
      serve: (heard) => {
        this.#parties[socket] = new Door(this, heard);
        const failed = addon.serve(socket);
        if (failed !== 0) throw systemError(failed, 'listen');
      },
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        this.close(socket);
      },
    };
  }

  /** Connects; `heard` is told when that has come to its end, in a later turn. Throws what the system says at once. */
  dial(address: string, port: number, heard: (error: Error | undefined) => void): LaneWire {
    const socket = this.addon.dial(address, port);
    if (socket < 0) throw systemError(-socket, 'connect');
    return this.wireOf(socket, heard);
  }

  wireOf(socket: number, heard: ((error: Error | undefined) => void) | undefined): LaneWire {
    const wire = new LaneWire(this, socket, heard);
    this.#parties[socket] = wire;
    return wire;
  }

  close(socket: number): void {
    this.#parties[socket] = undefined;
    this.addon.close(socket);
  }

  reset(socket: number): void {
    this.#parties[socket] = undefined;
    this.addon.reset(socket);
  }

  /** Its descriptor, which is the caller's from now on. */
  release(socket: number): number {
    this.#parties[socket] = undefined;
    return this.addon.release(socket);
  }

  /** Bytes that were read, and lie there until the next turn. */
  bytesAt(offset: number, length: number): Buffer {
    return this.#buffer.subarray(offset, offset + length);
  }

  /** What is told of `socket` in this turn and has not been told yet; it will not be told. */
  *untold(socket: number): Iterable<readonly [kind: number, first: number, second: number]> {
    const numbers = this.#happened;
    for (let at = this.#next; at < this.#until; at += LANE.numbersEach) {
      if (numbers[at + 1] !== socket) continue;
      numbers[at + 1] = NOBODY;
      yield [numbers[at] ?? -1, numbers[at + 2] ?? 0, numbers[at + 3] ?? 0];
    }
  }

  startReading(socket: number): void {
    const state = (this.#states[socket] ?? 0) | WANTED;
    this.#states[socket] = state;
    if ((state & READY) !== 0) this.#lookLater(socket);
  }

  stopReading(socket: number): void {
    this.#states[socket] = (this.#states[socket] ?? 0) & ~WANTED;
  }

  /** As much of a lent buffer as one may fill in this turn, when others do so too. */
  shareOf(lent: Buffer): Buffer {
    this.#readers += 1;
    return this.#share >= lent.length ? lent : lent.subarray(0, this.#share);
  }

  /** Whether the owner reads itself, or finds what was read in the lane's own buffer. */
  readBy(socket: number, who: 'owner' | 'lane'): void {
    const state = this.#states[socket] ?? 0;
    this.#states[socket] = who === 'owner' ? state | READS_ITSELF : state & ~READS_ITSELF;
  }

  #lookLater(socket: number): void {
    this.addon.later(socket);
    this.#plan();
  }

  /** What is left over has its turn when the loop has looked at everybody else. */
  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isPlanned = false;
    this.addon.turn();
  };

  #tell(happened: number, hasMore: boolean): void {
    const numbers = this.#happened;
    this.#until = happened * LANE.numbersEach;
    for (let at = 0; at < this.#until; at += LANE.numbersEach) {
      this.#next = at + LANE.numbersEach;
      const [kind = -1, socket = NOBODY] = [numbers[at], numbers[at + 1]];
      this.#tellOne(kind, socket, at);
    }
    this.#until = 0;
    // Two calls may make up one turn of the loop: those who wait their turn, and those whom the kernel names.
    this.#share = turnShare(Math.max(1, this.#readers, this.#readersBefore));
    this.#readersBefore = this.#readers;
    this.#readers = 0;
    if (hasMore) this.#plan();
  }

  #tellOne(kind: number, socket: number, at: number): void {
    const numbers = this.#happened;
    const [first = 0, second = 0, third = 0] = [numbers[at + 2], numbers[at + 3], numbers[at + 4]];
    const party = this.#parties[kind === HAPPENED.accepted ? first : socket];
    try {
      if (party !== undefined) party.happened(kind, kind === HAPPENED.accepted ? socket : first, second, third);
      else if (kind === HAPPENED.accepted) this.addon.close(socket);
    } catch (error) {
      // As in any callback of the loop; and those who come after it in this turn hear what is theirs.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** Of an event that has been told already. */
const NOBODY = -1;

class Door implements Party {
  readonly #lane: Lane;
  readonly #heard: AcceptedHeard;

  constructor(lane: Lane, heard: AcceptedHeard) {
    this.#lane = lane;
    this.#heard = heard;
  }

  happened(kind: number, first: number, port: number, four: number): void {
    if (kind === HAPPENED.refused) return this.#heard.failed(systemError(first, 'accept'));
    const wire = this.#lane.wireOf(first, undefined);
    const address = four === 0 ? this.#lane.addon.peer(first)[0] : dotted(four);
    this.#heard.accepted(wire, address, port);
  }
}

const dotted = (four: number): string => `${four >>> 24}.${(four >>> 16) & 255}.${(four >>> 8) & 255}.${four & 255}`;

let started: { readonly lane: Lane | undefined } | undefined;

/** Sockets of the lane that are open, listeners among them: Node does not list them among its own resources. */
export const laneSockets = (): number => started?.lane?.addon.size() ?? 0;

/** The lane of this environment, where there can be one. Never throws: Node's sockets do the same. */
export function nativeLane(): Lane | undefined {
  started ??= { lane: start() };
  return started.lane;
}

function start(): Lane | undefined {
  const { addon } = loadAddon();
  try {
    return addon && new Lane(addon.lane);
  } catch {
    return undefined;
  }
}
