import type { Clock } from '../util/clock.ts';
import type { StopSignal } from '../util/stop.ts';
import type { Observe } from './event.ts';
import type { ResponseHead } from './message.ts';
import type { OutboundTerms } from './outbound.ts';
import type { AddressGuard } from './policy.ts';
import type { Authority, RequestState } from './request.ts';
import type { Connection, Hop, HopScheme, Route } from './stages.ts';

/**
 * Opens a connection to a hop's proxy, through the hops before it, TLS included. Called again it opens another. `share`: it
 * may be a stream of one connection, together with requests of which the same is said; absent: it belongs to this request.
 */
export type DialHop = (share?: string) => Promise<Connection>;

/** Opens a tunnel to `to` through the proxy of `hop`. It disposes every connection that it does not return. */
export interface Dialer {
  readonly schemes: readonly HopScheme[];
  dial(hop: Hop, to: Authority, within: DialScope, dialProxy: DialHop): Promise<Connection>;
}

export interface DialScope {
  readonly id: string;
  /** Address of the client that the connection is for, or `PROXY_ITSELF`. */
  readonly client: string;
  readonly signal: StopSignal;
  /** All waits of the dial are measured by it. */
  readonly clock: Clock;
  readonly guard: AddressGuard;
  readonly observe: Observe;
  /** Receives the heads that pass; `undefined`: they are not printed, which would cost more than parsing them. */
  readonly tap: Observe | undefined;
  /** Of the route that is dialled. */
  readonly terms?: OutboundTerms | undefined;
  /** Of the request, for events. */
  readonly state?: RequestState | undefined;
  /** Called with the head by which a proxy refuses a CONNECT, or fails at it. */
  readonly onRefused?: ((head: ResponseHead) => void) | undefined;
  /** Whose request it is; `undefined`: it shares no connection. */
  readonly owner?: string | undefined;
  /** Called when a proxy has asked for credentials: from then on no other route may serve this request. */
  readonly commit?: (() => void) | undefined;
  /** `Via` of a CONNECT to another proxy: that of the client's request, and us. Absent: no proxy has passed it on. */
  readonly via?: string | undefined;
}

/**
 * What a TLS connection is for. `messages`: bodies may be ended by the end of the connection, so an end without
 * close_notify is a failure (RFC 9112 §9.8). `tunnel`: the end is passed on as it came. `streams`: as `tunnel`, and the proxy
 * may choose HTTP/2.
 */
export type TlsUse = 'messages' | 'tunnel' | 'streams';

/** A connection inside TLS. */
export interface SecuredConnection extends Connection {
  /** What ALPN has chosen (RFC 7301). */
  readonly speaks: 'http/1.1' | 'h2';
}

/**
 * Makes verified TLS of a connection to the server of `hop`, a proxy or a web server with a PAC. Owns the connection:
 * disposes it when the handshake fails. Rejects with `certificate_rejected`, `tls_failed` or `connect_timeout`.
 */
export type SecureHop = (
  connection: Connection,
  hop: Hop,
  within: Pick<DialScope, 'signal'>,
  use: TlsUse,
) => Promise<SecuredConnection>;

/** One way to open a tunnel along routes in order, for `pipeline/connect.ts`. */
export interface Connector {
  connect(routes: readonly Route[], to: Authority, within: DialScope): Promise<{ route: Route; upstream: Connection }>;
}
