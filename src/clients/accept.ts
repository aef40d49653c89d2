import type { Observe } from '../contracts/event.ts';
import type { ProxyError } from '../contracts/failure.ts';
import type { ClientInfo } from '../contracts/request.ts';
import type { Wire } from '../contracts/wire.ts';
import type { EpollSockets } from '../net/epoll-sockets.ts';
import { clientKeyOf } from '../protocol/addresses/client-key.ts';
import { SlotList } from '../util/slot-list.ts';
import { Admission, type AdmissionOptions } from './admission.ts';
import { refusalByBridge } from './bridges.ts';
import type { ClientPlace, ClientProtocol, ConnectionHost } from './client-protocol.ts';
import type { InheritedSockets } from './inherited-sockets.ts';
import { type BoundAddress, type ListeningSocket, listenUrl, openListening } from './listening.ts';
import type { SocketListen } from './options.ts';
import { Place } from './places.ts';
import { behindProxyHeader, ProxyHeaderPeers } from './proxy-protocol/protocol.ts';
import { RejectionCounter } from './rejection-counter.ts';
import { applySocketFileRules } from './socket-file.ts';

/** A listener that can accept no more tries again after this: clients wait in the kernel, and trying must not use a core. */
const PAUSE_MS = 20;
/** Reported at most this often: a system that has no descriptors left must not fill the log. */
const NOTICE_MS = 10_000;
/** Nothing is read of a client before its protocol begins. */
const NOTHING_READ = Buffer.alloc(0);

export interface AcceptOptions extends AdmissionOptions {
  /** What the clients of a listener speak. */
  readonly protocolOf: (listen: SocketListen) => ClientProtocol;
  readonly observe: Observe;
  /** The addon's sockets; Node's where there are none. */
  readonly epollSockets: EpollSockets | undefined;
  /** Sockets that the service manager has opened. */
  readonly inherited?: InheritedSockets | undefined;
}

/** Other settings of a listener that are ready: one of the two is called, once. */
export interface ListenerChange {
  commit(): void;
  abandon(): void;
}

/** One listening socket and the connections that it has accepted. */
export class Listener implements BoundAddress, ConnectionHost {
  #requested: SocketListen;
  #listen: SocketListen;
  #url: string;
  #serving: Serving;
  readonly #socket: ListeningSocket;
  readonly #options: AcceptOptions;
  readonly #connections = new SlotList<ClientPlace>();
  /** Called when the last connection closes. */
  readonly #waiting: (() => void)[] = [];
  #admission: Admission;
  /** Peers that are not listed in `proxyProtocol`. */
  readonly #unlisted: RejectionCounter;
  #noticeMs = Number.NEGATIVE_INFINITY;
  #pause: Disposable | undefined;
  #isStopped = false;

  private constructor(requested: SocketListen, socket: ListeningSocket, serving: Serving, options: AcceptOptions) {
    this.#requested = requested;
    this.#listen = socket.listen;
    this.#url = listenUrl(socket.listen);
    this.#serving = serving;
    this.#socket = socket;
    this.#options = options;
    this.#admission = this.#admissionBy(serving.protocol);
    this.#unlisted = new RejectionCounter(options.context.clock, (message) => this.#warn(message));
  }

  /**
   * Rejects with a ListenError. No client is served before `begin`. A Unix socket whose process is gone is replaced.
   * `requested`: what the configuration says, by which a reload finds it again: the port of `listen` may be that of the other
   * half of `localhost` instead of 0.
   */
  static async open(
    [listen, requested]: readonly [listen: SocketListen, requested: SocketListen],
    options: AcceptOptions,
  ): Promise<Listener> {
    const serving = servingOf(listen, options);
    try {
      const socket = await openListening(listen, options);
      return new Listener(requested, socket, serving, options);
    } catch (error) {
      serving.protocol[Symbol.dispose]?.();
      throw error;
    }
  }

  get requested(): SocketListen {
    return this.#requested;
  }

  get listen(): SocketListen {
    return this.#listen;
  }

  get url(): string {
    return this.#url;
  }

  /**
   * Other settings for the same address: what can fail is done now, and `commit` puts them in force for connections that
   * are accepted from then on.
   */
  prepareChange(requested: SocketListen): ListenerChange {
    const listen: SocketListen = { ...this.#listen, protocol: requested.protocol, settings: requested.settings };
    const serving = servingOf(listen, this.#options);
    const commit = () => {
      if (listen.kind === 'unix') this.#applyFileRules(listen);
      this.#requested = requested;
      this.#listen = listen;
      this.#url = listenUrl(listen);
      this.#serving.protocol[Symbol.dispose]?.();
      this.#serving = serving;
      this.#admission[Symbol.dispose]();
      this.#admission = this.#admissionBy(serving.protocol);
      this.#options.context.repeats?.forget();
    };
    return { commit, abandon: () => serving.protocol[Symbol.dispose]?.() };
  }

  /** Not before the reload is certain: what cannot be changed is reported, and the socket goes on as it is. */
  #applyFileRules({ path, settings }: SocketListen & { readonly kind: 'unix' }): void {
    try {
      applySocketFileRules(path, settings);
    } catch (error) {
      this.#warn(`its file keeps mode and owner: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Serves, and first the clients that are waiting already. */
  begin(): void {
    this.#socket.serve({
      accepted: (wire, address, port, local) => this.#accept(wire, address, port, local),
      failed: (error) => {
        this.#notice(`accepting failed: ${error.message}`);
        this.#pauseAccepting();
      },
    });
  }

  abandon(): void {
    this.#socket.close();
    this.#serving.protocol[Symbol.dispose]?.();
  }

  /** Requests and tunnels in progress, on all connections. */
  get active(): number {
    let active = 0;
    for (const { of: connection } of this.#connections) active += connection?.active ?? 0;
    return active;
  }

  /** Accepts no more, and closes every connection once nothing is in progress on it. Resolves when all are closed. */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#socket.close();
    this.#serving.protocol[Symbol.dispose]?.();
    this.#pause?.[Symbol.dispose]();
    this.#admission[Symbol.dispose]();
    this.#unlisted[Symbol.dispose]();
    for (const { of: connection } of this.#connections) connection?.close();
    const { repeats } = this.#options.context;
    return repeats === undefined ? this.#closedAll() : repeats.settle().then(() => this.#closedAll());
  }

  #closedAll(): Promise<void> {
    return this.#connections.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends all that is in progress. */
  abort(why: ProxyError): void {
    for (const { of: connection } of this.#connections) connection?.abort(why);
    this.#options.context.repeats?.abort(this, why);
  }

  #accept(wire: Wire, address: string, port: number, localAddress: string | undefined): void {
    const isOnBridge = this.listen.kind === 'tcp' && this.listen.subnet !== undefined;
    const client: ClientInfo = {
      ...{ address, port, listener: this.url },
      ...(localAddress !== undefined && { localAddress }),
      ...(isOnBridge && { isOnBridge }),
    };
    const place: ClientPlace = new Place();
    const { protocol, peers } = this.#serving;
    if (peers === undefined) {
      if (!this.admit(wire, client, place)) return;
    } else if (!peers.has(address)) {
      this.#unlisted.add(`${address || 'a peer of the socket'} is not in proxyProtocol`);
      return void wire.stream.destroy();
      // Its own address is no client's, and a rule about clients does not apply to it.
    } else if (!this.#enter(this.#admission.takePlace(wire, client, place), place)) return;
    place.of = protocol.serve({ wire, client, early: NOTHING_READ, place, host: this });
  }

  admit(wire: Wire, client: ClientInfo, place: ClientPlace): boolean {
    const isAdmitted = this.#enter(this.#admission.admit(wire, client, place), place);
    if (isAdmitted) this.#report(place, client);
    return isAdmitted;
  }

  spareFor(client: ClientInfo): number {
    const { listen } = this;
    const isPlain = this.#serving.peers === undefined && listen.kind === 'tcp' && listen.subnet === undefined;
    return isPlain && !this.#isStopped ? this.#options.places.spare(clientKeyOf(client.address)) : 0;
  }

  adopt(client: ClientInfo, place: ClientPlace): void {
    this.#options.places.take(place, clientKeyOf(client.address));
    this.#connections.add(place);
    this.#report(place, client);
  }

  #enter(isAdmitted: boolean, place: ClientPlace): boolean {
    if (!isAdmitted) this.closed(place);
    else if (!this.#connections.has(place)) this.#connections.add(place);
    return isAdmitted;
  }

  /** Again where another address of the client has become known: then it is that one's connection. */
  #report(place: ClientPlace, client: ClientInfo): void {
    if (place.client === client) return;
    place.client = client;
    this.#options.observe({ type: 'connection', client });
  }

  closed(place: ClientPlace): void {
    this.#options.places.release(place);
    if (place.client !== undefined && this.#connections.has(place))
      this.#options.observe({ type: 'connectionClosed', client: place.client });
    if (!this.#connections.delete(place) || this.#connections.size > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #admissionBy(protocol: ClientProtocol): Admission {
    return new Admission(protocol, this.#options, {
      warn: (message) => this.#warn(message),
      refusal: refusalByBridge(this.#listen),
      crowded: () => this.#pauseAccepting(),
    });
  }

  /** More clients would find no descriptor, or take the time to read from the clients that were rejected before. */
  #pauseAccepting(): void {
    if (this.#pause !== undefined) return;
    this.#socket.pause();
    this.#pause = this.#options.context.clock.after(PAUSE_MS, () => {
      this.#pause = undefined;
      if (this.#options.rejected.isCrowded) this.#pauseAccepting();
      else this.#socket.resume();
    });
  }

  #notice(message: string): void {
    const now = this.#options.context.clock.now();
    if (now - this.#noticeMs < NOTICE_MS) return;
    this.#noticeMs = now;
    this.#warn(message);
  }

  #warn(message: string): void {
    this.#options.observe({ type: 'notice', level: 'warn', message: `${this.url}: ${message}` });
  }
}

/** What a listener does with the clients that it accepts. */
interface Serving {
  readonly protocol: ClientProtocol;
  /** Peers that must send a PROXY header. `undefined`: no peer does. */
  readonly peers: ProxyHeaderPeers | undefined;
}

function servingOf(listen: SocketListen, { protocolOf, context }: AcceptOptions): Serving {
  const protocol = protocolOf(listen);
  const listed = listen.settings?.proxyProtocol;
  if (listed === undefined) return { protocol, peers: undefined };
  return { protocol: behindProxyHeader(protocol, context), peers: new ProxyHeaderPeers(listed) };
}
