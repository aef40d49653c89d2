import type { Connection } from '../../contracts/stages.ts';
import type { Ownership, Receiver } from '../../contracts/wire.ts';
import type { Clock } from '../../util/clock.ts';

/** Many servers close an idle connection after 5 to 75 s, which is seen at once; this bounds what is kept without use. */
const IDLE_MS = 30_000;
/** A browser opens six connections to an origin; several browsers of one user may share this proxy. */
const PER_KEY_MAX = 32;
/** Idle connections in all. Each holds a file descriptor and a few KB here, and a slot at the origin. */
const TOTAL_MAX = 512;
/**
 * What an origin sends beyond its response follows right behind it: in the next segment, or when its process runs next. A
 * request that comes within that time waits for the rest of it: another connection would often take longer, and an
 * authenticated one takes a login.
 */
const QUIET_MS = 10;

/** Lists of connections that are kept, empty ones too; above this the empty ones are forgotten. */
const LISTS_MAX = 2 * TOTAL_MAX;

/** How often the pool looks for connections that have been idle too long. */
const EXPIRY_INTERVAL_MS = IDLE_MS / 4;

/** `doubtful`: the origin may frame the request or its own response differently than we do, and send more bytes. */
export type Trust = 'sure' | 'doubtful';

type Taker = (connection: Connection | undefined) => void;

/** A connection that waits for its next request. A byte, an end or an error meanwhile ends it. */
class Idle implements Receiver {
  readonly list: IdleList;
  readonly connection: Connection;
  readonly sinceMs: number;
  readonly quietAtMs: number;
  /** The request that waits until it has been quiet for long enough, and the timer of that wait. */
  taker: Taker | undefined;
  timer: Disposable | undefined;
  readonly #drop: (idle: Idle) => void;

  constructor(of: IdleList, connection: Connection, sinceMs: number, quietAtMs: number, drop: (idle: Idle) => void) {
    this.list = of;
    this.connection = connection;
    this.sinceMs = sinceMs;
    this.quietAtMs = quietAtMs;
    this.#drop = drop;
  }

  get isDoubtful(): boolean {
    return this.quietAtMs > this.sinceMs;
  }

  bytes(_chunk: Buffer, _ownership: Ownership): void {
    this.#drop(this);
  }

  end(): void {
    this.#drop(this);
  }

  failed(): void {
    this.#drop(this);
  }
}

/**
 * The idle connections of one owner that are interchangeable, the longest idle first. It is kept for a while when it is
 * empty: of most origins one connection is taken and comes back.
 */
interface IdleList {
  readonly owner: OwnerConnections;
  readonly idle: Idle[];
}

/** All idle connections of one owner. */
interface OwnerConnections {
  readonly lists: Map<string, IdleList>;
  size: number;
}

/**
 * Idle connections to origins and proxies, by owner (the user or client that they serve) and by the key that makes two of
 * them interchangeable. None serves two owners: surplus bytes of an origin are taken for the next response, and so reach
 * only the owner whose request caused them. The pool owns what it holds and watches it: a byte, an end or an error on an idle
 * connection ends it (RFC 9112 §9.2: no request is outstanding).
 */
export class IdlePool {
  readonly #clock: Clock;
  readonly #owners = new Map<string, OwnerConnections>();
  #size = 0;
  #listCount = 0;
  #epoch = 0;
  #expiryTimer: Disposable | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  /** How often `clear` was called: a connection is put back with the epoch in which its dial began. */
  get epoch(): number {
    return this.#epoch;
  }

  /**
   * The connection that was used last, which is the least likely to be closed meanwhile; none that is idle for longer. A
   * promise where it takes a moment to be sure that nothing has come on it; it gives nothing when something has.
   */
  take(
    owner: string,
    key: string,
    idleMsMax: number = IDLE_MS,
  ): Connection | Promise<Connection | undefined> | undefined {
    for (;;) {
      const now = this.#clock.now();
      const idle = bestOf(this.#owners.get(owner)?.lists.get(key)?.idle, now);
      if (idle === undefined) return undefined;
      const idleMs = now - idle.sinceMs;
      if (idleMs >= IDLE_MS) this.#expire();
      if (idleMs >= Math.min(idleMsMax, IDLE_MS)) return undefined;
      if (idle.quietAtMs > now) return this.#whenQuiet(idle, idle.quietAtMs - now);
      const { isQuiet, stream } = idle.connection.wire;
      // A tick of the loop costs a small request a twentieth: where the wire cannot tell, only a doubtful connection waits for one.
      if (isQuiet === undefined && idle.isDoubtful) return this.#whenQuiet(idle, 0);
      if (isQuiet !== false && !stream.destroyed) return this.#handOut(idle);
      this.#drop(idle);
    }
  }

  /** One of an older epoch has another login, other settings, or another network: it is closed. */
  put(owner: string, key: string, connection: Connection, epoch: number, trust: Trust): void {
    if (epoch !== this.#epoch) return connection[Symbol.dispose]();
    const list = this.#listFor(owner, key);
    const connections = list.owner;
    if (list.idle.length >= PER_KEY_MAX || !this.#makeSpaceFor(connections)) return connection[Symbol.dispose]();
    const now = this.#clock.now();
    const idle = new Idle(list, connection, now, trust === 'sure' ? now : now + QUIET_MS, this.#drop);
    list.idle.push(idle);
    connections.size += 1;
    this.#size += 1;
    connection.wire.deliverTo(idle);
    this.#expiryTimer ??= this.#clock.after(EXPIRY_INTERVAL_MS, () => this.#expire());
  }

  /** Closes everything, and later what is in use now: a reload, another network, or the end. */
  clear(): void {
    this.#epoch += 1;
    this.#dropAll(() => true);
    this.#expiryTimer?.[Symbol.dispose]();
    this.#expiryTimer = undefined;
  }

  #listFor(owner: string, key: string): IdleList {
    const found = this.#owners.get(owner)?.lists.get(key);
    if (found !== undefined) return found;
    if (this.#listCount >= LISTS_MAX) this.#clean();
    const connections = this.#owners.get(owner) ?? { lists: new Map(), size: 0 };
    const list: IdleList = { owner: connections, idle: [] };
    this.#owners.set(owner, connections);
    connections.lists.set(key, list);
    this.#listCount += 1;
    return list;
  }

  /** Forgets what is empty. */
  #clean(): void {
    for (const [owner, { lists }] of this.#owners) {
      for (const [key, { idle }] of lists) {
        if (idle.length === 0 && lists.delete(key)) this.#listCount -= 1;
      }
      if (lists.size === 0) this.#owners.delete(owner);
    }
  }

  /** Where the pool is full, the owner with the most connections loses its oldest one to an owner that has fewer. */
  #makeSpaceFor(owner: OwnerConnections): boolean {
    if (this.#size < TOTAL_MAX) return true;
    let most = owner;
    for (const other of this.#owners.values()) if (other.size > most.size) most = other;
    const oldest = most === owner ? undefined : oldestOf(most);
    if (oldest === undefined) return false;
    this.#drop(oldest);
    return true;
  }

  /** No other request gets the connection meanwhile, and a byte on it ends the wait with `undefined`. */
  #whenQuiet(idle: Idle, waitMs: number): Promise<Connection | undefined> {
    return new Promise((resolve) => {
      idle.taker = resolve;
      if (waitMs === 0) setImmediate(() => this.#waited(idle));
      else idle.timer = this.#clock.after(waitMs, () => this.#waitedLong(idle));
    });
  }

  /** The loop may have been busy all that time, and bytes that have come are still unread. */
  #waitedLong(idle: Idle): void {
    const { isQuiet } = idle.connection.wire;
    if (isQuiet === undefined) setImmediate(() => this.#waited(idle));
    else if (isQuiet) this.#waited(idle);
    else this.#drop(idle);
  }

  #waited(idle: Idle): void {
    const { taker } = idle;
    // It was dropped.
    if (taker === undefined) return;
    // Node reports a reset only after it has closed the socket.
    if (idle.connection.wire.stream.destroyed) return this.#drop(idle);
    idle.taker = undefined;
    taker(this.#handOut(idle));
  }

  #handOut(idle: Idle): Connection {
    this.#remove(idle);
    return idle.connection;
  }

  #expire(): void {
    // `take` may call this before the timer.
    this.#expiryTimer?.[Symbol.dispose]();
    this.#expiryTimer = undefined;
    const tooOldMs = this.#clock.now() - IDLE_MS;
    this.#dropAll(({ sinceMs }) => sinceMs <= tooOldMs);
    if (this.#size > 0) this.#expiryTimer = this.#clock.after(EXPIRY_INTERVAL_MS, () => this.#expire());
  }

  #dropAll(isDue: (idle: Idle) => boolean): void {
    for (const { lists } of this.#owners.values()) {
      for (const { idle } of lists.values()) for (const one of idle.filter(isDue)) this.#drop(one);
    }
    this.#clean();
  }

  readonly #drop = (idle: Idle): void => {
    if (!this.#remove(idle)) return;
    idle.connection[Symbol.dispose]();
    idle.timer?.[Symbol.dispose]();
    const { taker } = idle;
    idle.taker = undefined;
    taker?.(undefined);
  };

  #remove(idle: Idle): boolean {
    const list = idle.list;
    const at = list.idle.lastIndexOf(idle);
    if (at < 0) return false;
    list.idle.splice(at, 1);
    this.#size -= 1;
    list.owner.size -= 1;
    idle.connection.wire.deliverTo(undefined);
    return true;
  }
}

/** Of those that no request waits for: the last one that has been quiet for long enough, or the first that will have been. */
function bestOf(idle: readonly Idle[] | undefined, now: number): Idle | undefined {
  const isFree = ({ taker }: Idle): boolean => taker === undefined;
  return idle?.findLast((one) => isFree(one) && one.quietAtMs <= now) ?? idle?.find(isFree);
}

function oldestOf({ lists }: OwnerConnections): Idle | undefined {
  let oldest: Idle | undefined;
  for (const { idle } of lists.values()) {
    const first = idle.find(({ taker }) => taker === undefined);
    if (first !== undefined && (oldest === undefined || first.sinceMs < oldest.sinceMs)) oldest = first;
  }
  return oldest;
}
