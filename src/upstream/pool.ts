import type { Clock } from '../core/clock.ts';
import type { Connection } from '../core/stages.ts';

/** Many servers close an idle connection after 5 to 75 s. A close is seen at once; this bounds what is kept in vain. */
const IDLE_MS = 30_000;
/** A browser opens six connections to an origin; several browsers may share this proxy. */
const PER_KEY_MAX = 32;
/** Idle connections in all. Each holds a file descriptor and a few KB here, and a slot at the origin. */
const TOTAL_MAX = 512;

/** Looks for connections that have been idle too long are this far apart. */
const LOOK_MS = IDLE_MS / 4;

interface Idle {
  readonly connection: Connection;
  readonly sinceMs: number;
}

/**
 * Idle connections to origins and proxies, by whatever makes two of them interchangeable. The pool owns what it holds and watches
 * it: a byte, an end or an error on an idle connection ends it (RFC 9112 §9.2: nobody asked for that answer).
 */
export class IdlePool {
  readonly #clock: Clock;
  readonly #idle = new Map<string, Idle[]>();
  #size = 0;
  #epoch = 0;
  #look: Disposable | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  /** Counts what `clear` has ended: whoever opens a connection remembers in which epoch it began to. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The connection that was used last, which is the least likely to be closed meanwhile; none that is idle for longer. */
  take(key: string, idleMsMax: number = IDLE_MS): Connection | undefined {
    const list = this.#idle.get(key);
    const idle = list?.at(-1);
    if (list === undefined || idle === undefined) return undefined;
    const idleMs = this.#clock.now() - idle.sinceMs;
    if (idleMs >= IDLE_MS) this.#expire();
    if (idleMs >= Math.min(idleMsMax, IDLE_MS)) return undefined;
    list.pop();
    this.#size -= 1;
    if (list.length === 0) this.#idle.delete(key);
    idle.connection.wire.deliverTo(undefined);
    return idle.connection;
  }

  /** One of an older epoch has another login, other settings, or another network: it is closed. */
  put(key: string, connection: Connection, epoch: number): void {
    if (epoch !== this.#epoch) return connection[Symbol.dispose]();
    const list = this.#idle.get(key) ?? [];
    if (this.#size >= TOTAL_MAX || list.length >= PER_KEY_MAX) return connection[Symbol.dispose]();
    const idle: Idle = { connection, sinceMs: this.#clock.now() };
    list.push(idle);
    this.#idle.set(key, list);
    this.#size += 1;
    const drop = () => this.#drop(key, idle);
    connection.wire.deliverTo({ bytes: drop, end: drop, failed: drop });
    this.#look ??= this.#clock.after(LOOK_MS, () => this.#expire());
  }

  /** Closes everything, and later what is in use now: a reload, another network, or the end. */
  clear(): void {
    this.#epoch += 1;
    this.#dropAll(() => true);
    this.#look?.[Symbol.dispose]();
    this.#look = undefined;
  }

  #expire(): void {
    // Whoever takes may come before the look that was planned.
    this.#look?.[Symbol.dispose]();
    this.#look = undefined;
    const tooOldMs = this.#clock.now() - IDLE_MS;
    this.#dropAll(({ sinceMs }) => sinceMs <= tooOldMs);
    if (this.#size > 0) this.#look = this.#clock.after(LOOK_MS, () => this.#expire());
  }

  #dropAll(isDue: (idle: Idle) => boolean): void {
    for (const [key, list] of this.#idle) for (const idle of list.filter(isDue)) this.#drop(key, idle);
  }

  #drop(key: string, idle: Idle): void {
    const list = this.#idle.get(key);
    const at = list?.indexOf(idle) ?? -1;
    if (list === undefined || at < 0) return;
    list.splice(at, 1);
    this.#size -= 1;
    if (list.length === 0) this.#idle.delete(key);
    idle.connection.wire.deliverTo(undefined);
    idle.connection[Symbol.dispose]();
  }
}
