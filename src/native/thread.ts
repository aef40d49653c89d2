import { type Addon, ENDS, loadAddon, NEWS, ORDERS, SLOTS_PER_BLOCK } from './addon.ts';

/** Hears what becomes of one tunnel. */
export interface Passenger {
  /** One side has ended; the other goes on. */
  half(who: number): void;
  /** Both sockets are closed. The slot is free again. */
  over(end: number): void;
  /** The thread has let go of it. The slot is free again. */
  released(sockets: Sockets): void;
}

/** A descriptor, and bytes that have been read from it and are still to be written to the other one. */
export interface Descriptor {
  readonly fd: number;
  readonly early: Buffer;
}
export interface Offered extends Descriptor {
  readonly is: 'given' | 'copied';
}
export interface Sockets {
  readonly client: Descriptor;
  readonly upstream: Descriptor;
  /** Whoever has sent an end already. */
  readonly firstToEnd: 'client' | 'upstream' | undefined;
}

/** Who ended first, by the code of an end. */
export function endedBy(code: number): 'client' | 'upstream' | undefined {
  if (code === ENDS.client) return 'client';
  return code === ENDS.upstream ? 'upstream' : undefined;
}

/** The one thread of this environment that moves bytes, and who travels with it. */
export class NativeThread {
  readonly #addon: Addon;
  /** By slot. */
  readonly #passengers: (Passenger | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #counters: BigUint64Array[] = [];
  #open = 0;

  constructor(addon: Addon) {
    this.#addon = addon;
    addon.start((news) => this.#hear(news), SLOTS_PER_BLOCK);
  }

  /**
   * The thread moves bytes between both descriptors from now on, or between copies of those that are not given to it;
   * what was read early goes first. `undefined`: it cannot, and nothing has happened.
   */
  take(passenger: Passenger, client: Offered, upstream: Offered): number | undefined {
    const slot = this.#free.pop() ?? this.#newSlot();
    const given = (client.is === 'given' ? 1 : 0) | (upstream.is === 'given' ? 2 : 0);
    const failed = this.#addon.take(slot, client.fd, upstream.fd, client.early, upstream.early, given);
    if (failed !== 0) {
      this.#free.push(slot);
      return undefined;
    }
    this.#passengers[slot] = passenger;
    if (this.#open++ === 0) this.#addon.hold(1);
    return slot;
  }

  /** An order that comes too late is ignored; news are on the way then. */
  order(slot: number, order: keyof typeof ORDERS): void {
    this.#addon.order(slot, ORDERS[order]);
  }

  /** Bytes that have passed: from the client, and to it. */
  movedUp(slot: number): number {
    return this.#moved(slot, 0);
  }

  movedDown(slot: number): number {
    return this.#moved(slot, 1);
  }

  #moved(slot: number, way: number): number {
    return Number(this.#counters[Math.floor(slot / SLOTS_PER_BLOCK)]?.[2 * (slot % SLOTS_PER_BLOCK) + way] ?? 0n);
  }

  #newSlot(): number {
    const slot = this.#passengers.length;
    if (slot % SLOTS_PER_BLOCK === 0) {
      const block = new BigUint64Array(2 * SLOTS_PER_BLOCK);
      this.#counters.push(block);
      this.#addon.addBlock(block.buffer);
    }
    this.#passengers.push(undefined);
    return slot;
  }

  #hear(news: Int32Array): void {
    for (let at = 0; at + 2 < news.length; at += 3) {
      const [slot = -1, kind, detail = 0] = news.subarray(at, at + 3);
      const passenger = this.#passengers[slot];
      if (passenger === undefined) continue;
      if (kind === NEWS.half) passenger.half(detail);
      else if (kind === NEWS.over) {
        passenger.over(detail);
        this.#forget(slot);
      } else {
        const [client, upstream, fromClient, fromUpstream, firstToEnd] = this.#addon.collect(slot);
        passenger.released({
          client: { fd: client, early: fromClient },
          upstream: { fd: upstream, early: fromUpstream },
          firstToEnd: endedBy(firstToEnd),
        });
        this.#forget(slot);
      }
    }
  }

  #forget(slot: number): void {
    this.#passengers[slot] = undefined;
    this.#free.push(slot);
    if (--this.#open === 0) this.#addon.hold(0);
  }
}

export type Started = { readonly thread: NativeThread } | { readonly thread: undefined; readonly why: string };

let started: Started | undefined;

/** Loads the addon and starts its thread, once. Never throws. */
export function nativeThread(): Started {
  started ??= start();
  return started;
}

function start(): Started {
  const loaded = loadAddon();
  if (loaded.addon === undefined) return { thread: undefined, why: loaded.why };
  try {
    return { thread: new NativeThread(loaded.addon) };
  } catch (error) {
    return { thread: undefined, why: error instanceof Error ? error.message : String(error) };
  }
}
