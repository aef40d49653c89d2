import { unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Observe } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { ClientInfo } from '../core/request.ts';
import { Roster, type Seat } from '../core/roster.ts';
import { refusal } from '../pipeline/respond.ts';
import { adopt } from './adopt.ts';
import { Http1Connection, type Http1Services } from './http1.ts';
import type { Listen } from './options.ts';
import { replyBytes } from './reply-bytes.ts';

/** Connections that the kernel keeps for us while the loop is busy; what the system allows by default today. */
const BACKLOG = 4096;
/** Said at most this often: an attack must not fill the log with the fact that it goes on. */
const NOTICE_MS = 10_000;

export interface AcceptOptions {
  readonly services: Http1Services;
  readonly observe: Observe;
  /** Open connections of this listener; another one is told 503 and closed. */
  readonly connectionsMax: number;
  /** `port`: other processes of this proxy listen on the same ports, and the kernel deals connections out to all. */
  readonly sharing?: 'port' | undefined;
}

/** An address that cannot be listened on. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: string;
  readonly listen: Listen;
  constructor(listen: Listen, cause: NodeJS.ErrnoException) {
    super(`cannot listen on ${describe(listen)}: ${cause.code ?? cause.message}`, { cause });
    this.code = cause.code ?? '';
    this.listen = listen;
  }
}

export const describe = (listen: Listen): string =>
  listen.kind === 'unix'
    ? `unix:${listen.path}`
    : `http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`;

/** An address that was opened. */
export interface Opened {
  /** As it was asked for: the port may be 0. */
  readonly asked: Listen;
  /** As it is. */
  readonly listen: Listen;
  /** Closes it before it has served anybody. */
  abandon(): void;
}

/** One listening socket and the connections that it has accepted. */
export class Listener implements Opened {
  readonly asked: Listen;
  readonly listen: Listen;
  readonly #server: Server;
  readonly #options: AcceptOptions;
  readonly #connections = new Roster<Seat<Http1Connection>>();
  /** Those who wait for the last connection to close. */
  readonly #waiting: (() => void)[] = [];
  /** Clients that came before the configuration they belong to is in force; `undefined` once it is. */
  #held: Socket[] | undefined = [];
  #refusedSince = 0;
  #noticeMs = Number.NEGATIVE_INFINITY;

  private constructor(asked: Listen, server: Server, options: AcceptOptions) {
    this.asked = asked;
    this.listen = withRealPort(asked, server);
    this.#server = server;
    this.#options = options;
    server.on('connection', (socket) => (this.#held === undefined ? this.#accept(socket) : this.#hold(socket)));
    // Out of descriptors: libuv closes what waits in the backlog and goes on, so there is nothing to spin on.
    server.on('error', (error) => this.#notice(`accepting failed: ${error.message}`));
  }

  /** Rejects with a ListenError. Nobody is served before `begin`. A unix socket that nobody listens on any more is replaced. */
  static async open(listen: Listen, options: AcceptOptions): Promise<Listener> {
    const server = createServer({
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
    });
    try {
      await bind(server, listen, options.sharing);
    } catch (error) {
      if (!(await isStale(listen))) throw error;
      if (listen.kind === 'unix') await unlink(listen.path);
      await bind(server, listen, options.sharing);
    }
    return new Listener(listen, server, options);
  }

  /** Serves, and first those who came already. */
  begin(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const socket of held) if (!socket.destroyed) this.#accept(socket);
  }

  abandon(): void {
    this.#server.close();
    for (const socket of this.#held ?? []) socket.destroy();
  }

  get url(): string {
    return describe(this.listen);
  }

  /** Connections that closing now would take something from. */
  get busy(): number {
    let busy = 0;
    for (const { of: connection } of this.#connections) if (connection.busy) busy += 1;
    return busy;
  }

  /** Accepts no more, and closes the connections that nobody would miss. Resolves when all are closed. */
  stop(): Promise<void> {
    this.#server.close();
    for (const { of: connection } of this.#connections) if (!connection.busy) connection.close();
    return this.#connections.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends what is still open; says how many requests and tunnels that were. */
  cut(reason: ProxyError): number {
    let cut = 0;
    for (const { of: connection } of this.#connections) {
      if (connection.busy) cut += 1;
      connection.cut(reason);
    }
    return cut;
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.#options.connectionsMax) return this.#turnAway(socket);
    const client = this.#clientOf(socket);
    const wire = adopt(socket);
    this.#connections.add(new Http1Connection(wire, client, this.#options.services, this.#onClosed).seat);
  }

  readonly #onClosed = (connection: Http1Connection): void => {
    this.#connections.delete(connection.seat);
    if (this.#connections.size > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  };

  #hold(socket: Socket): void {
    socket.on('error', () => undefined);
    this.#held?.push(socket);
  }

  #turnAway(socket: Socket): void {
    this.#refusedSince += 1;
    this.#notice(`${this.#refusedSince} connections turned away: ${this.#options.connectionsMax} are open`);
    socket.on('error', () => undefined);
    const { services } = this.#options;
    const full = new ProxyError('at_capacity', 'too many connections', { fields: [['Retry-After', '1']] });
    const reply = refusal(full, services.nextId(), '1.1', services.rooms().identity);
    socket.end(replyBytes(reply, { method: 'GET', after: 'close', wallMs: services.clock.wallMs() }));
    socket.resume();
    socket.setTimeout(1_000, () => socket.destroy());
  }

  #clientOf({ remoteAddress = '', remotePort = 0 }: Socket): ClientInfo {
    // A socket for both families shows IPv4 clients as ::ffff:a.b.c.d; rules and logs mean the IPv4.
    return { address: remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), port: remotePort, listener: this.url };
  }

  #notice(message: string): void {
    const now = this.#options.services.clock.now();
    if (now - this.#noticeMs < NOTICE_MS) return;
    this.#noticeMs = now;
    this.#options.observe({ type: 'notice', level: 'warn', message: `${this.url}: ${message}` });
  }
}

/** Binds an address by itself and serves nobody: it fails where anybody listens, and finds a free port. */
export async function openProbe(asked: Listen): Promise<Opened> {
  if (asked.kind === 'unix') return { asked, listen: asked, abandon() {} };
  const server = createServer((socket) => socket.destroy());
  await bind(server, asked, undefined);
  return { asked, listen: withRealPort(asked, server), abandon: () => void server.close() };
}

function bind(server: Server, listen: Listen, sharing: 'port' | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(new ListenError(listen, cause));
    server.once('error', onError);
    const reusePort = sharing === 'port' && listen.kind === 'tcp';
    const where = listen.kind === 'unix' ? { path: listen.path } : { host: listen.host, port: listen.port, reusePort };
    server.listen({ ...where, backlog: BACKLOG }, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

/** A socket file outlives a process that was killed; then nobody answers on it. */
function isStale(listen: Listen): Promise<boolean> {
  if (listen.kind !== 'unix') return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = connect(listen.path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

function withRealPort(listen: Listen, server: Server): Listen {
  const address = server.address();
  if (listen.kind === 'unix' || address === null || typeof address === 'string') return listen;
  return { ...listen, host: address.address, port: address.port };
}
