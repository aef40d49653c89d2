import {
  GIVEN_CLIENT,
  GIVEN_UPSTREAM,
  GRANT_MORE,
  LIMITED_DOWN,
  LIMITED_UP,
  NUMBERS_PER_RELAY_EVENT,
  RELAY_COMMANDS,
  RELAY_EVENTS,
  RELAY_EVENTS_MAX,
  REPEATED_MAX,
  REPEATED_SLOT,
  SLOT_GENERATIONS,
  SLOT_INDEX_BITS,
  SLOTS_PER_BLOCK,
  TUNNEL_ENDS,
} from './abi.ts';
import { loadAddon, type RelayAddon } from './addon.ts';

/** Receives the events of one tunnel. */
export interface RelayedTunnel {
  /** One side has ended; the other goes on. */
  halfClosed(side: number): void;
  /** Both sockets are closed. The slot is free again. */
  closed(end: number): void;
  /** So many bytes wait in a direction that is limited. Nothing more passes there until it is granted or unlimited. */
  wants(direction: Direction, bytes: number): void;
  /** So many granted bytes were not needed, and are granted no more. */
  returns(direction: Direction, bytes: number): void;
}

/** From the client, and to it. */
export type Direction = 'up' | 'down';

/** A descriptor, and bytes that have been read from it and are still to be written to the other one. */
export interface OfferedDescriptor {
  readonly fd: number;
  readonly early: Buffer;
  readonly is: 'given' | 'copied';
}

/** The side that ended first, by the code of an end. */
export function endedBy(code: number): 'client' | 'upstream' | undefined {
  if (code === TUNNEL_ENDS.client) return 'client';
  return code === TUNNEL_ENDS.upstream ? 'upstream' : undefined;
}

/** Those above are given out by the addon. */
const SLOTS_MAX = REPEATED_SLOT;
const indexOf = (slot: number): number => slot & ((1 << SLOT_INDEX_BITS) - 1);
const isRepeated = (slot: number): boolean => (slot & REPEATED_SLOT) !== 0;
/** The number of the next tunnel in the place of one that is over. */
const nextGeneration = (slot: number): number =>
  indexOf(slot) | ((((slot >>> SLOT_INDEX_BITS) + 1) % SLOT_GENERATIONS) << SLOT_INDEX_BITS);

const NO_SLOT = -1;

/** The one thread of this environment that moves bytes, and the tunnels whose bytes it moves. */
export class NativeThread {
  readonly #addon: RelayAddon;
  /** By index. */
  readonly #tunnels: (RelayedTunnel | undefined)[] = [];
  /** The number of each tunnel, with its generation: a late event of an earlier one is not its own. By index. */
  readonly #slots: number[] = [];
  readonly #free: number[] = [];
  readonly #counters: BigUint64Array[] = [];
  /** The addon writes them, and calls with their number. */
  readonly #events = new Int32Array(RELAY_EVENTS_MAX * NUMBERS_PER_RELAY_EVENT);
  /** Tunnels that the addon has opened by itself, by their number. */
  readonly #repeated = new Map<number, RelayedTunnel>();
  #repeatedCounters: BigUint64Array | undefined;
  #open = 0;

  constructor(addon: RelayAddon) {
    this.#addon = addon;
    // jest's --detectOpenHandles reports a handle that does not say that it keeps nothing alive.
    const handle = { hasRef: () => this.#open > 0 };
    addon.start((events) => this.#dispatch(events), this.#events.buffer, handle);
  }

  /**
   * The thread moves bytes between both descriptors from now on, or between copies of those that are not given to it;
   * what was read early goes first. What is limited passes as it is granted. `undefined`: it cannot, and nothing has happened.
   */
  add(
    tunnel: RelayedTunnel,
    client: OfferedDescriptor,
    upstream: OfferedDescriptor,
    limited: readonly Direction[] = [],
  ): number | undefined {
    const slot = this.#free.pop() ?? this.#newSlot();
    if (slot === undefined) return undefined;
    const flags =
      (client.is === 'given' ? GIVEN_CLIENT : 0) |
      (upstream.is === 'given' ? GIVEN_UPSTREAM : 0) |
      (limited.includes('up') ? LIMITED_UP : 0) |
      (limited.includes('down') ? LIMITED_DOWN : 0);
    const failed = this.#addon.add(slot, client.fd, upstream.fd, client.early, upstream.early, flags);
    if (failed !== 0) {
      this.#free.push(slot);
      return undefined;
    }
    this.#tunnels[indexOf(slot)] = tunnel;
    this.#slots[indexOf(slot)] = slot;
    if (this.#open++ === 0) this.#addon.hold(1);
    return slot;
  }

  /** Memory for what is counted of the tunnels that the addon opens by itself. */
  countersOfRepeated(): ArrayBuffer {
    this.#repeatedCounters ??= new BigUint64Array(2 * REPEATED_MAX);
    return this.#repeatedCounters.buffer as ArrayBuffer;
  }

  /** Receives the events of a tunnel that the addon has opened by itself, and that it has just reported. */
  adopt(slot: number, tunnel: RelayedTunnel): void {
    this.#repeated.set(slot, tunnel);
    if (this.#open++ === 0) this.#addon.hold(1);
  }

  /** Tunnels whose bytes it moves. */
  get open(): number {
    return this.#open;
  }

  /** Those of them that the addon has opened by itself. */
  get repeated(): number {
    return this.#repeated.size;
  }

  /** A command for a tunnel that is over is ignored; its event is on the way then. */
  command(slot: number, command: Exclude<keyof typeof RELAY_COMMANDS, 'grantUp' | 'grantDown'>): void {
    this.#addon.command(slot, RELAY_COMMANDS[command], 0);
  }

  /** So many more bytes may pass in a direction that is limited. `next`: whether the thread asks for the next grant. */
  grant(slot: number, direction: Direction, bytes: number, next: 'asked' | 'comes'): void {
    const command = direction === 'up' ? RELAY_COMMANDS.grantUp : RELAY_COMMANDS.grantDown;
    this.#addon.command(slot, command, next === 'comes' ? bytes + GRANT_MORE : bytes);
  }

  /** Bytes that have passed: from the client, and to it. */
  movedUp(slot: number): number {
    return this.#moved(slot, 0);
  }

  movedDown(slot: number): number {
    return this.#moved(slot, 1);
  }

  #moved(slot: number, direction: number): number {
    const index = indexOf(slot);
    if (isRepeated(slot)) return Number(this.#repeatedCounters?.[2 * (index - REPEATED_SLOT) + direction] ?? 0n);
    return Number(
      this.#counters[Math.floor(index / SLOTS_PER_BLOCK)]?.[2 * (index % SLOTS_PER_BLOCK) + direction] ?? 0n,
    );
  }

  /** `undefined`: there is no number left, or no memory for its counters. */
  #newSlot(): number | undefined {
    const slot = this.#tunnels.length;
    if (slot === SLOTS_MAX) return undefined;
    if (slot % SLOTS_PER_BLOCK === 0) {
      const block = this.#newBlock();
      if (block === undefined) return undefined;
      this.#counters.push(block);
    }
    this.#tunnels.push(undefined);
    this.#slots.push(NO_SLOT);
    return slot;
  }

  #newBlock(): BigUint64Array | undefined {
    try {
      const block = new BigUint64Array(2 * SLOTS_PER_BLOCK);
      this.#addon.addBlock(block.buffer);
      return block;
    } catch {
      return undefined;
    }
  }

  #dispatch(events: number): void {
    for (let at = 0; at < events * NUMBERS_PER_RELAY_EVENT; at += NUMBERS_PER_RELAY_EVENT) {
      const [slot = NO_SLOT, kind = -1, detail = 0] = [this.#events[at], this.#events[at + 1], this.#events[at + 2]];
      const tunnel = this.#find(slot);
      if (tunnel === undefined) continue;
      try {
        this.#dispatchOne(slot, tunnel, kind, detail);
      } catch (error) {
        // It costs its own tunnel alone: the others of this call get their events, and the error goes where those of
        // other callbacks of the loop go.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #find(slot: number): RelayedTunnel | undefined {
    if (isRepeated(slot)) return this.#repeated.get(slot);
    return this.#slots[indexOf(slot)] === slot ? this.#tunnels[indexOf(slot)] : undefined;
  }

  #dispatchOne(slot: number, tunnel: RelayedTunnel, kind: number, detail: number): void {
    switch (kind) {
      case RELAY_EVENTS.halfClosed:
        return tunnel.halfClosed(detail);
      case RELAY_EVENTS.wantsUp:
        return tunnel.wants('up', detail);
      case RELAY_EVENTS.wantsDown:
        return tunnel.wants('down', detail);
      case RELAY_EVENTS.returnsUp:
        return tunnel.returns('up', detail);
      case RELAY_EVENTS.returnsDown:
        return tunnel.returns('down', detail);
    }
    try {
      tunnel.closed(detail);
    } finally {
      // Not before: the tunnel reads its counters for the last time.
      this.#forget(slot);
    }
  }

  #forget(slot: number): void {
    if (isRepeated(slot)) {
      this.#repeated.delete(slot);
      if (--this.#open === 0) this.#addon.hold(0);
      return;
    }
    this.#tunnels[indexOf(slot)] = undefined;
    this.#slots[indexOf(slot)] = NO_SLOT;
    this.#free.push(nextGeneration(slot));
    if (--this.#open === 0) this.#addon.hold(0);
  }
}

export type StartedThread = { readonly thread: NativeThread } | { readonly thread: undefined; readonly why: string };

let started: StartedThread | undefined;

/** Tunnels whose bytes the thread of this environment moves; each has two sockets. */
export const relayedTunnelCount = (): number => started?.thread?.open ?? 0;
/** Those of them that the addon has opened by itself. */
export const repeatedTunnelCount = (): number => started?.thread?.repeated ?? 0;

/** Loads the addon and starts its thread, once. Never throws. */
export function nativeThread(): StartedThread {
  started ??= start();
  return started;
}

function start(): StartedThread {
  const loaded = loadAddon();
  if (loaded.addon === undefined) return { thread: undefined, why: loaded.why };
  try {
    return { thread: new NativeThread(loaded.addon) };
  } catch (error) {
    return { thread: undefined, why: error instanceof Error ? error.message : String(error) };
  }
}
