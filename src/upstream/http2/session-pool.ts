import { type ClientHttp2Session, connect } from 'node:http2';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecuredConnection } from '../../contracts/dialing.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { IdleTarget, IdleWatch } from '../../net/idle-watch.ts';
import { NO_SLOT } from '../../util/slot-list.ts';
import { RequestWire } from './request-wire.ts';

/** Users times proxies; beyond it the one that was used least lately takes no more streams. */
const SESSIONS_MAX = 256;
/** A proxy that has announced no limit. */
const STREAMS_MAX = 100;
/** What a proxy may send ahead on one stream: a download over a long way needs some. */
const WINDOW_BYTES = 1_048_576;
/** A session without streams is closed after this; one with streams is asked whether its proxy is still there. */
const IDLE_MS = 60_000;
const PING_INTERVAL_MS = 30_000;
/** A proxy is asked before a session is used again that has been silent for this long. */
const SILENT_MS = 5_000;
/** What it sends meanwhile counts as an answer. */
const PONG_MS = 10_000;
const NOTHING = Buffer.alloc(0);

/**
 * Connections in HTTP/2 to upstream proxies, by whose requests they may carry: requests of another user, or for another
 * account at the proxy, never share one.
 */
export class UpstreamSessions implements Disposable {
  readonly #idle: IdleWatch;
  /** In the order of their last use. */
  readonly #sessions = new Map<string, UpstreamSession>();
  /** Also those that take no more streams. */
  readonly #open = new Set<UpstreamSession>();
  /** Handshakes that may bring a session, and what the others of that key wait for. */
  readonly #pending = new Map<string, Promise<unknown>>();

  constructor(idle: IdleWatch) {
    this.#idle = idle;
  }

  /**
   * A stream of a session that is there; else `dial` opens a connection, which becomes one where it has agreed on HTTP/2.
   * Requests that come meanwhile wait for that. Where it brought no session, they dial for themselves, all at once.
   */
  async open(key: string, dial: () => Promise<SecuredConnection>): Promise<Connection> {
    const there = this.#streamOf(key);
    if (there !== undefined) return there;
    const pending = this.#pending.get(key);
    if (pending !== undefined) {
      await pending;
      return this.#streamOf(key) ?? (await this.#dialled(key, dial));
    }
    const opening = this.#dialled(key, dial);
    const settled = opening.catch(() => undefined);
    this.#pending.set(key, settled);
    try {
      return await opening;
    } finally {
      if (this.#pending.get(key) === settled) this.#pending.delete(key);
    }
  }

  async #dialled(key: string, dial: () => Promise<SecuredConnection>): Promise<Connection> {
    const connection = await dial();
    return connection.speaks === 'h2' ? this.#add(key, connection) : connection;
  }

  #streamOf(key: string): Connection | undefined {
    const session = this.#sessions.get(key);
    if (session === undefined) return undefined;
    this.#sessions.delete(key);
    if (!session.isUsable) return undefined;
    this.#sessions.set(key, session);
    return session.open('used');
  }

  /** Makes a session of a connection that has agreed on HTTP/2, and opens its first stream. */
  #add(key: string, connection: SecuredConnection): Connection {
    const session = new UpstreamSession(connection, this.#idle, () => this.#open.delete(session));
    this.#open.add(session);
    // One that is full, or that was dialled at the same time, goes on with what it carries, and closes when that is over.
    this.#sessions.get(key)?.retire();
    this.#sessions.set(key, session);
    if (this.#sessions.size > SESSIONS_MAX) {
      const [oldest] = this.#sessions;
      if (oldest !== undefined) {
        this.#sessions.delete(oldest[0]);
        oldest[1].retire();
      }
    }
    return session.open('new');
  }

  /** No session is used for another request any more; those with streams go on until these have ended. */
  clear(): void {
    for (const session of this.#sessions.values()) session.retire();
    this.#sessions.clear();
  }

  /** Ends all of them. */
  [Symbol.dispose](): void {
    this.#sessions.clear();
    for (const session of this.#open) session.destroy();
  }
}

class UpstreamSession implements IdleTarget {
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  readonly #connection: SecuredConnection;
  readonly #session: ClientHttp2Session;
  readonly #idle: IdleWatch;
  readonly #done: () => void;
  readonly #socket: Duplex;
  #bytesRead = 0;
  #streams = 0;
  #touched = false;
  #isPinged = false;
  #isClosed = false;
  #isRetired = false;
  #heardMs = performance.now();

  constructor(connection: SecuredConnection, idle: IdleWatch, done: () => void) {
    this.#done = done;
    this.#connection = connection;
    this.#idle = idle;
    const socket = connection.wire.toDuplex();
    this.#socket = socket;
    this.#session = connect('https://proxy.invalid', {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
      maxSessionMemory: 64,
    });
    this.#session
      // Its streams say what has become of them.
      .on('error', () => undefined)
      // No further request: the proxy is about to close.
      .on('goaway', () => this.#session.close())
      .on('close', () => this.#closed());
    idle.watch(this);
  }

  get isUsable(): boolean {
    const { closed, destroyed, remoteSettings } = this.#session;
    const max = Math.min(remoteSettings?.maxConcurrentStreams ?? STREAMS_MAX, STREAMS_MAX);
    return !closed && !destroyed && this.#streams < max;
  }

  open(which: 'new' | 'used'): Connection {
    this.#streams += 1;
    this.#touched = true;
    if (which === 'used' && performance.now() - this.#heardMs > SILENT_MS) this.#ping();
    const wire = new RequestWire(this.#session, () => this.#ended());
    return {
      wire,
      early: NOTHING,
      address: this.#connection.address,
      isUsed: which === 'used',
      [Symbol.dispose]: () => wire.stream.destroy(),
    };
  }

  /** It gets no more streams, and closes with its last one. */
  retire(): void {
    this.#isRetired = true;
    if (this.#streams === 0) this.destroy();
  }

  destroy(): void {
    this.#session.destroy();
    this.#closed();
  }

  get limitMs(): number {
    if (this.#isPinged) return PONG_MS;
    return this.#streams > 0 ? PING_INTERVAL_MS : IDLE_MS;
  }

  wasTouched(): boolean {
    const bytesRead = this.#socket instanceof Socket ? this.#socket.bytesRead : 0;
    const touched = this.#touched || (this.#isPinged && bytesRead > this.#bytesRead);
    this.#bytesRead = bytesRead;
    this.#touched = false;
    return touched;
  }

  expired(): void {
    if (this.#isPinged || this.#streams === 0) return this.destroy();
    this.#ping();
    this.#idle.watch(this);
  }

  #ping(): void {
    if (this.#isPinged) return;
    this.#isPinged = true;
    this.#idle.rescheduleSooner(this);
    this.#session.ping((error) => {
      if (error !== null) return;
      this.#isPinged = false;
      this.#touched = true;
      this.#heardMs = performance.now();
    });
  }

  #ended(): void {
    this.#streams -= 1;
    if (this.#isRetired && this.#streams === 0) return this.destroy();
    this.#touched = true;
    this.#heardMs = performance.now();
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#idle.unwatch(this);
    this.#connection[Symbol.dispose]();
    this.#done();
  }
}
