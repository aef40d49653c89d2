import type { ByteSource } from './source.ts';
import type { StopSignal } from './stop.ts';

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
}

interface RequestHead {
  readonly id: string;
  readonly version: '1.0' | '1.1';
  readonly headers: Headers;
  readonly client: ClientInfo;
  /** Aborts with a ProxyError when the client goes away or the proxy stops. */
  readonly signal: StopSignal;
  /** Milliseconds on the proxy's clock when the head was complete. */
  readonly startedMs: number;
}

/** `CONNECT host:port`. */
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
export interface OwnRequest extends RequestHead {
  readonly kind: 'own';
  readonly method: string;
  readonly path: string;
}

export type ProxyRequest = TunnelRequest | ForwardRequest;
