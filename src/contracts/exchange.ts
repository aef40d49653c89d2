import type { DialScope } from './dialing.ts';
import type { ResponseHead } from './message.ts';
import type { Authority, Body, Headers } from './request.ts';
import type { Connection, Route } from './stages.ts';
import type { Wire } from './wire.ts';

/** One plain HTTP exchange over a pooled or a fresh connection. */
export interface Exchange {
  send(outgoing: OutgoingRequest, routes: readonly Route[], within: DialScope): Promise<OriginResponse>;
}

/**
 * A client connection that may have one origin connection to itself. NTLM and Negotiate log on a connection and not a
 * request: the next client on it would be that user (RFC 4559 §6). Both end together.
 */
export interface OriginOwner {
  /** What waits for the next request of its client. */
  readonly owned: Disposable | undefined;
  /** Takes it, in the place of what it has owned before, which is disposed. */
  own(origin: Disposable): void;
  /** Forgets what it has owned; the caller has that now. */
  disown(): void;
  /** The origin has ended what was owned, so that the client's connection ends as well. */
  endWithOrigin(): void;
}

/**
 * Whether an exchange logs its connection on, or begins to. `kept`: the connection belongs to its client. Else it serves
 * nothing more: `no-owner`, since the client's connection is shared; `proxy-cannot`, since an upstream proxy shares its own.
 */
export type ConnectionAuthState = 'none' | 'kept' | 'no-owner' | 'proxy-cannot';

/** Counts what one request moves on connections that others use before and after it. */
export interface UpstreamBytes {
  /** The connection serves the request from now on; of a `fresh` one all that has passed counts. */
  begin(wire: Wire, which: 'fresh' | 'used'): void;
  /** It may serve another request from now on. */
  end(wire: Wire): void;
}

/** A request as it goes out; `framing` and the fields agree, and the body is written by the exchange. */
export interface OutgoingRequest {
  /** The user or client: no connection serves two of them, so that excess bytes of an origin never reach another user. */
  readonly owner: string;
  readonly method: string;
  readonly target: Authority;
  /** Path and query, `*`, or `''` for none: the exchange makes the form that the route wants of it. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: OutgoingBody | undefined;
  /** Who may have the connection to itself, if its origin wants that. */
  readonly originOwner: OriginOwner | undefined;
  /** The one protocol that the client offered to switch to. */
  readonly upgrade: string | undefined;
  /** Absent: the bytes are not counted. */
  readonly upstreamBytes?: UpstreamBytes | undefined;
  /** Called for every 1xx but 101. A promise: the next one is not read before it settles. */
  sendInterim(head: ResponseHead): Promise<void> | undefined;
}

/** The body of the client, sent on by the relay under the permit's gate. */
export interface OutgoingBody {
  /** Moves the whole body into `to`; resolves with the bytes sent, rejects when either side fails. */
  sendTo(to: Connection): Promise<number>;
  /** Whether all of it has been sent: only then may the connection serve another request. */
  readonly complete: boolean;
}

export interface OriginResponse extends Disposable {
  readonly head: ResponseHead;
  readonly version: '1.0' | '1.1';
  /** `undefined`: the response has no body. */
  readonly body: Body | undefined;
  /** Present after a 101: the connection now speaks the other protocol. */
  readonly upgraded: Connection | undefined;
  readonly route: Route;
  readonly address: string | undefined;
  readonly connectionAuth: ConnectionAuthState;
  /** Settles when the whole request body was sent, or sending it failed. */
  readonly sent: Promise<number>;
}
