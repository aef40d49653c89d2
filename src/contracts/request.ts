import type { StopSignal } from '../util/stop.ts';
import type { Secret } from './secret.ts';
import type { ByteSource } from './wire.ts';

/** Where a request wants to go. IPv6 without brackets; names in lower case, as the client wrote them otherwise. */
export interface Authority {
  readonly host: string;
  readonly port: number;
}

/** Wire order and wire case; one character is one octet (latin1), so that any octet survives. */
export type Headers = readonly (readonly [name: string, value: string])[];

export interface ClientInfo {
  readonly address: string;
  readonly port: number;
  /** URL of the listener that accepted the connection. */
  readonly listener: string;
  /** Where that listener is on all addresses of this machine: the one that the client has connected to. */
  readonly localAddress?: string;
  /** Address and port are those that a peer has named in a PROXY header. */
  readonly isNamedByHeader?: true;
  /** A container, by a listener on a bridge: other addresses are denied to it than to programs of this machine. */
  readonly isOnBridge?: true;
  /** Absent without TLS between the client and this proxy. */
  readonly tls?: ClientTls | undefined;
}

/** TLS between a client and this proxy. */
export interface ClientTls {
  /** As OpenSSL calls it: `TLSv1.3`. */
  readonly version: string;
  /** Whom the client's certificate names; it was verified. */
  readonly user?: string | undefined;
}

/** What a client speaks; `(string & {})` admits the protocols of programs and tests. */
export type RequestProtocol = 'http/1.0' | 'http/1.1' | 'h2' | 'socks4' | 'socks5' | (string & {});

/** How a client proves who it is, wherever its protocol carries that. */
export type ClientCredentials =
  /** Values of `Proxy-Authorization` (RFC 9110 §11.7.2), as they arrived; the authenticator refuses more than one. */
  | { readonly kind: 'authorization'; readonly values: readonly string[] }
  /** A user name and a password that are fields of the protocol itself, as in SOCKS5 (RFC 1929). */
  | { readonly kind: 'password'; readonly username: string; readonly password: Secret };

/** Values that a program that embeds the proxy keeps with one request. */
export interface RequestState {
  [name: string]: unknown;
}

export interface RequestHead {
  readonly id: string;
  /** The request-target exactly as it was received (RFC 9112 §3.2); `host:port` in protocols that have none. */
  readonly requestTarget: string;
  readonly protocol: RequestProtocol;
  /** Empty in protocols that have none. */
  readonly headers: Headers;
  /** `undefined`: the client has sent none. */
  readonly credentials: ClientCredentials | undefined;
  readonly client: ClientInfo;
  /** Aborts with a ProxyError when the client goes away or the proxy stops. */
  readonly signal: StopSignal;
  /** Milliseconds on the proxy's clock when the head was complete. */
  readonly startedMs: number;
  /** Made by the first hook that reads it. */
  state?: RequestState | undefined;
}

/** `CONNECT host:port`, and what other protocols have instead. */
export interface TunnelRequest extends RequestHead {
  readonly kind: 'tunnel';
  readonly method: 'CONNECT';
  readonly target: Authority;
}

/** How the end of a message body is known (RFC 9112 §6.3). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

/** A body on its way: the decoded bytes, and what came after them. */
export interface Body extends ByteSource {
  readonly framing: Framing;
  /** Trailer fields; complete once the source has ended. */
  readonly trailers: Headers;
  /** All of a body that had arrived before it had a receiver; it is over then. `undefined`: more is to come, and nothing was taken. */
  takeWhole?(): Buffer | undefined;
}

/** Absolute-form request, e.g. `GET http://host/path`. */
export interface ForwardRequest extends RequestHead {
  readonly kind: 'forward';
  readonly method: string;
  readonly target: Authority;
  /** The absolute URL exactly as it was received, without a userinfo (which is refused). */
  readonly url: string;
  /** Path and query exactly as received (RFC 9110 §7.7); `''` where the URL has none. */
  readonly path: string;
  /** `undefined`: the request has no body. */
  readonly body: Body | undefined;
}

/** A request for the proxy itself: origin-form or `*`. */
export interface LocalRequest extends RequestHead {
  readonly kind: 'local';
  readonly method: string;
  readonly path: string;
}

export type ProxyRequest = TunnelRequest | ForwardRequest;
