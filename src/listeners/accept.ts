import type { Observe } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { ClientInfo } from '../core/request.ts';
import { Roster, type Seat } from '../core/roster.ts';
import type { Wire } from '../core/source.ts';
import type { Lane } from '../native/lane.ts';
import { refusal } from '../pipeline/respond.ts';
import { Http1Connection, type Http1Services } from './http1.ts';
import { describe, type ListeningSocket, type Opened, openListening } from './listening.ts';
import type { Listen } from './options.ts';
import { replyBytes } from './reply-bytes.ts';

/** Time that one who is turned away has to read why. */
const TURNED_AWAY_MS = 1_000;
/** Said at most this often: an attack must not fill the log with the fact that it goes on. */
const NOTICE_MS = 10_000;

export interface AcceptOptions {
  readonly services: Http1Services;
  readonly observe: Observe;
  /** Open connections of this listener; another one is told 503 and closed. */
  readonly connectionsMax: number;
  /** The addon's sockets; Node's where there are none. */
  readonly lane: Lane | undefined;
  /** `port`: other processes of this proxy listen on the same ports, and the kernel deals connections out to all. */
  readonly sharing?: 'port' | undefined;
}

/** One listening socket and the connections that it has accepted. */
export class Listener implements Opened {
  readonly asked: Listen;
  readonly listen: Listen;
  readonly url: string;
  readonly #socket: ListeningSocket;
  readonly #options: AcceptOptions;
  readonly #connections = new Roster<Seat<Http1Connection>>();
  /** Those who wait for the last connection to close. */
  readonly #waiting: (() => void)[] = [];
  #refusedSince = 0;
  #noticeMs = Number.NEGATIVE_INFINITY;

  private constructor(asked: Listen, socket: ListeningSocket, options: AcceptOptions) {
    this.asked = asked;
    this.listen = socket.listen;
    this.url = describe(socket.listen);
    this.#socket = socket;
    this.#options = options;
  }

  /** Rejects with a ListenError. Nobody is served before `begin`. A unix socket that nobody listens on any more is replaced. */
  static async open(listen: Listen, options: AcceptOptions): Promise<Listener> {
    return new Listener(listen, await openListening(listen, options.sharing, options.lane), options);
  }

  /** Serves, and first those who came already. */
  begin(): void {
    this.#socket.serve({
      accepted: (wire, address, port) => this.#accept(wire, address, port),
      failed: (error) => this.#notice(`accepting failed: ${error.message}`),
    });
  }

  abandon(): void {
    this.#socket.close();
  }

  /** Connections that closing now would take something from. */
  get busy(): number {
    let busy = 0;
    for (const { of: connection } of this.#connections) if (connection.busy) busy += 1;
    return busy;
  }

  /** Accepts no more, and closes the connections that nobody would miss. Resolves when all are closed. */
  stop(): Promise<void> {
    this.#socket.close();
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

  #accept(wire: Wire, address: string, port: number): void {
    if (this.#connections.size >= this.#options.connectionsMax) return this.#turnAway(wire);
    const client: ClientInfo = { address, port, listener: this.url };
    this.#connections.add(new Http1Connection(wire, client, this.#options.services, this.#onClosed).seat);
  }

  readonly #onClosed = (connection: Http1Connection): void => {
    this.#connections.delete(connection.seat);
    if (this.#connections.size > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  };

  #turnAway(wire: Wire): void {
    this.#refusedSince += 1;
    this.#notice(`${this.#refusedSince} connections turned away: ${this.#options.connectionsMax} are open`);
    const { services } = this.#options;
    const full = new ProxyError('at_capacity', 'too many connections', { fields: [['Retry-After', '1']] });
    const reply = refusal(full, services.nextId(), '1.1', services.rooms().identity);
    const { stream } = wire;
    stream.write(replyBytes(reply, { method: 'GET', after: 'close', wallMs: services.clock.wallMs() }));
    stream.end();
    const close = () => void stream.destroy();
    const timer = services.clock.after(TURNED_AWAY_MS, close);
    stream.once('close', () => timer[Symbol.dispose]());
    wire.deliverTo({ bytes: () => undefined, end: close, failed: close });
  }

  #notice(message: string): void {
    const now = this.#options.services.clock.now();
    if (now - this.#noticeMs < NOTICE_MS) return;
    this.#noticeMs = now;
    this.#options.observe({ type: 'notice', level: 'warn', message: `${this.url}: ${message}` });
  }
}
