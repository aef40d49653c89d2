import type { FailureCode, ProxyError } from './failure.ts';
import type { LoginTerms } from './login-terms.ts';
import type { HopTls, OutboundTerms } from './outbound.ts';
import type { Authority, ProxyRequest } from './request.ts';
import type { Secret } from './secret.ts';
import type { Wire } from './wire.ts';

/** Each step of a request takes the stage before it, so that their order is checked by the compiler. */
export interface ReceivedRequest<R extends ProxyRequest = ProxyRequest> {
  readonly request: R;
}
export interface IdentifiedRequest<R extends ProxyRequest = ProxyRequest> extends ReceivedRequest<R> {
  readonly principal: Principal;
}
export interface AdmittedRequest<R extends ProxyRequest = ProxyRequest> extends IdentifiedRequest<R> {
  readonly decision: Allow;
  readonly permit: Permit;
}
export interface RoutedRequest<R extends ProxyRequest = ProxyRequest> extends AdmittedRequest<R> {
  /** Best first. */
  readonly routes: readonly [Route, ...Route[]];
  readonly by: RouteSource;
}
export interface ConnectedRequest<R extends ProxyRequest = ProxyRequest> extends RoutedRequest<R> {
  readonly route: Route;
  readonly upstream: Connection;
}

/** The user who sends a request. `name` is empty for `none`. */
export interface Principal {
  readonly name: string;
  readonly scheme: 'none' | 'basic' | 'mtls' | (string & {});
}

export interface Allow {
  readonly verdict: 'allow';
  readonly rule: string;
  /** Name of a rule that only reports, and would have denied this. */
  readonly wouldDeny?: string;
}
export interface Deny {
  readonly verdict: 'deny';
  readonly rule: string;
  readonly code: FailureCode;
  readonly wouldDeny?: string;
  /** Name of a rule that only reports, and would have allowed this. */
  readonly wouldAllow?: string;
}
export type Decision = Allow | Deny;

/**
 * How to reach a target. `proxies` lists the hops nearest first; there is nearly always one. `isFallback`: direct only
 * because no upstream proxy can be reached, or no PAC; the log says `direct_fallback`.
 */
export type Route =
  | { readonly via: 'direct'; readonly isFallback?: true; readonly terms?: OutboundTerms | undefined }
  | { readonly via: 'proxies'; readonly hops: Hops; readonly terms?: OutboundTerms | undefined };
/** One proxy, or a chain of them. */
export type Hops = readonly [Hop, ...Hop[]];
export interface Hop {
  readonly scheme: HopScheme;
  readonly proxy: Authority;
  /** How far it is trusted: one that the user named is exempt from the guard, and may be sent credentials. */
  readonly namedBy: NamedBy;
  /** From the URL that names it. */
  readonly login?: Login | undefined;
  /** Through another proxy of its chain: an address like 127.0.0.1 is that one's, and what is said to it goes a long way. */
  readonly reached?: 'through-proxy' | undefined;
  /** How to log in, where a route hook has decided that. */
  readonly auth?: LoginTerms | undefined;
  /** How to speak TLS with it, where a route hook has decided that. */
  readonly tls?: HopTls | undefined;
}
/** `socks4` resolves names here, since the protocol carries none; `socks4a` and `socks5` send the name. */
export type HopScheme = 'http' | 'https' | 'socks4' | 'socks4a' | 'socks5';
/** `pac`: a script that no host on the way could change. `untrusted-pac`: one from plain `http:` or from WPAD. */
export type NamedBy = 'user' | 'pac' | 'untrusted-pac';
export interface Login {
  readonly user: string;
  readonly password: Secret;
}

/** What a router returns: ordered routes to the target, best first, and what decided so. */
export interface Routing {
  readonly routes: readonly Route[];
  readonly by: RouteSource;
}
export type RouteSource =
  /** Nothing is configured. */
  | { readonly kind: 'default' }
  | { readonly kind: 'hook' }
  /** The entry of `noProxy` that matched. */
  | { readonly kind: 'no-proxy'; readonly entry: string }
  /** The rule of `routes.rules` that matched. */
  | { readonly kind: 'rule'; readonly rule: string }
  /** `routes.proxy`. */
  | { readonly kind: 'proxy' }
  /** `viaduct mode`: these take the place of the PAC and of `routes.proxy`. */
  | { readonly kind: 'mode'; readonly mode: 'direct' | 'proxy' }
  /** Proxies that the system's settings name without a PAC. */
  | { readonly kind: 'system'; readonly source: string }
  | PacRouting;
/** A PAC was run, or should have been. */
export interface PacRouting {
  readonly kind: 'pac';
  /** Where the script comes from, without secrets. */
  readonly source: string;
  /** Milliseconds since the script was fetched or read; `undefined` when there is none. */
  readonly ageMs: number | undefined;
  /**
   * How the last attempt to read the script failed. `unreachable`: its server was not reached, and there is no script or
   * this is the last good copy. `unusable`: there is no script although the server was reached.
   */
  readonly failedAs?: 'unreachable' | 'unusable' | undefined;
  /** The script's raw result; `undefined` when it gave none. */
  readonly result: string | undefined;
  /** Why the script did not decide, in plain words: then the last good result or the fall-back did. */
  readonly failure: string | undefined;
  /** What became of entries of the result that cannot be read, in plain words; `undefined`: there are none. */
  readonly unread?: string | undefined;
  readonly calls: readonly PacCall[];
  readonly ms: number;
}
/** One call of a helper by a PAC script, in order. */
export interface PacCall {
  readonly helper: string;
  readonly args: readonly unknown[];
  readonly result: unknown;
  readonly ms: number;
}

/** An open connection; disposing destroys it. A relay that finished cleanly has already ended it. */
export interface Connection extends Disposable {
  readonly wire: Wire;
  /** Bytes that the peer sent behind a head, before the relay took over: they go first. */
  readonly early: Buffer;
  /** The address that was dialled, as text; `undefined` for a client's connection. */
  readonly address: string | undefined;
  /** Of a client's connection: ends the request, as `Responder.stop` does. */
  stop?(why: ProxyError): void;
  /** A relay has taken its descriptor: the wire is closed, and need not be kept. */
  socketTaken?(): void;
  /** It goes over a connection that has carried other requests, and that may have ended meanwhile. */
  readonly isUsed?: boolean | undefined;
}

/** How many bytes may pass now. Every limit on the path has agreed; the grant follows a limit that changes later. */
export interface Gate {
  /**
   * Grants 1…`bytesMax` bytes, now or when the limits allow it. 0 means that the permit is over: it was disposed, also
   * while this very call waited, or a quota is used up. Nothing more will pass, and the tunnel ends.
   */
  take(bytesMax: number): number | Promise<number>;
  /** Of bytes that have not come yet, at most so many should be taken at once. */
  readonly aheadBytesMax?: number;
  /** Returns what was granted and not used. */
  refund(bytes: number): void;
  /** No limit holds up or counts these bytes now: a `Permit.limitListener` need not call `take`. */
  readonly isIdle?: boolean;
}

/** Moves bytes without asking a gate, as long as that is idle. */
export interface LimitListener {
  onLimited(): void;
}

/** What was granted to one request; disposing gives the slots back. An absent gate limits nothing. */
export interface Permit extends Disposable {
  readonly up?: Gate;
  readonly down?: Gate;
  /** What both gates say, without asking for them: a gate that is asked for is kept. */
  readonly isIdle?: boolean;
  /** Moves bytes past idle gates; called when a limit has come to apply, or the permit is over. */
  limitListener?: LimitListener | undefined;
  /** Names of the limits that apply, for the record. */
  readonly limits: readonly string[];
  /** Name of the limit for which bytes wait now. */
  readonly heldBy?: string | undefined;
}
