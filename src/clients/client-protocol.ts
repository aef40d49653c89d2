import type { SentHead } from '../contracts/client.ts';
import type { DecidedTunnel } from '../contracts/decided-tunnel.ts';
import type { ProxyError } from '../contracts/failure.ts';
import type { ClientInfo, RequestProtocol } from '../contracts/request.ts';
import type { Wire } from '../contracts/wire.ts';
import type { IdleWatch } from '../net/idle-watch.ts';
import type { Services } from '../pipeline/services.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Clock } from '../util/clock.ts';
import type { Place } from './places.ts';

/** What the connections of all listeners share, whichever protocol they speak. */
export interface ClientContext {
  /** Of the configuration that is in force when it is called. */
  services(): Services;
  nextId(): string;
  /** Whether the proxy is stopping: no request is begun any more. */
  draining(): boolean;
  readonly clock: Clock;
  readonly idle: IdleWatch;
  readonly sessions: Sessions;
  /** Silence of a client in front of its first request and inside any head, in milliseconds. */
  readonly requestHeadMs: number;
  /** `undefined`: every CONNECT is decided about. */
  readonly repeats?: Repeats | undefined;
  /** Whether files that are named by the configuration are to be watched. */
  watchesFiles(): boolean;
}

/** Opens tunnels for CONNECTs that are the same as one a moment ago. */
export interface Repeats {
  /** From now on this one may be repeated, for a second. */
  learn(decided: DecidedTunnel, read: RepeatableHead, host: ConnectionHost, services: Services): void;
  /** Nothing that was decided so far is repeated any more. */
  forget(): void;
  /** As `forget`, and resolves when every tunnel so far has its request among those in progress. */
  settle(): Promise<void>;
  /** All that this listener has accepted ends, also what is not known yet. */
  abort(host: ConnectionHost, why: ProxyError): void;
  /** Tunnels that were not known when their listener was aborted. */
  readonly abortedLate: number;
}

/** What a client has sent, on which listener, and what it got. */
export interface RepeatableHead {
  /** Number of the listening socket. */
  readonly listener: number;
  /** As it was received, with its empty line. */
  readonly head: string;
  /** The head of the response that opens the tunnel. */
  readonly response: string;
}

/**
 * One protocol that clients speak: its folder holds all that is known of it. Disposed when its listener accepts nothing
 * more with it; connections that it serves live on.
 */
export interface ClientProtocol extends Partial<Disposable> {
  /** As the record of a client has it that is refused before it has sent a request. */
  readonly protocol: RequestProtocol;
  /** Serves a client. The caller enters the result in the place. */
  serve(accepted: AcceptedClient): ClientConnection;
  /** What a client reads that is refused before it has sent a request, e.g. for lack of a place. */
  reject(why: ProxyError, id: string): Rejection;
}

/** Among all connections, and in the list of a listener. The connection that holds it reports there whether it is idle. */
export type ClientPlace = Place<ClientConnection>;

/** A client that was admitted. */
export interface AcceptedClient {
  readonly wire: Wire;
  readonly client: ClientInfo;
  /** Read already, e.g. by a connection that detects the protocol: it comes before all that the wire delivers. */
  readonly early: Buffer;
  readonly place: ClientPlace;
  readonly host: ConnectionHost;
}

/** What a connection needs of the listener that has accepted it. */
export interface ConnectionHost {
  /**
   * Applies the client filter and counts the place as one of this client. To be called again, before the first request,
   * when another address of the client becomes known (a PROXY header). False: the client was refused, its place is given
   * back, and the wire belongs to the caller no longer.
   */
  admit(wire: Wire, client: ClientInfo, place: ClientPlace): boolean;
  /** Gives the place back: nothing of its connection is left. Called once, and never before `serve` has returned. */
  closed(place: ClientPlace): void;
  /** How many more connections this client might open; 0: what it sends first is more than a request. */
  spareFor(client: ClientInfo): number;
  /** Counts a place as that of a client which is connected already, though it was not admitted. `closed` gives it back. */
  adopt(client: ClientInfo, place: ClientPlace): void;
}

/** A refusal in the words of a protocol. */
export interface Rejection {
  /** Empty where the protocol has no words for it. */
  readonly bytes: Buffer;
  readonly sent: SentHead;
}

/** A client whose connection was closed for another one. */
export interface EvictedClient {
  readonly wire: Wire;
  readonly rejection: Rejection;
}

/** One connection of a client, with any number of requests in progress. */
export interface ClientConnection {
  /** Requests and tunnels in progress, each from its first byte to the last byte of its response. */
  readonly active: number;
  /** Closes the connection when nothing is in progress on it: now, or later. No request is begun on it any more. */
  close(): void;
  /** Ends all that is in progress, now; a request that waits for its response is refused with that reason. */
  abort(why: ProxyError): void;
  /**
   * Ends a connection that has not sent a request yet, so that its client can be rejected: returns the socket, and what the
   * client is to read in its own protocol. The place has been given back.
   */
  evict(why: ProxyError, id: string): EvictedClient;
}
