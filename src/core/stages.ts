import type { FailureCode } from './failure.ts';
import type { Authority, ProxyRequest } from './request.ts';
import type { Secret } from './secret.ts';
import type { Wire } from './source.ts';

/** Each step of the story takes the stage before it, so that their order is checked by the compiler. */
export interface Received<R extends ProxyRequest = ProxyRequest> {
  readonly request: R;
}
export interface Identified<R extends ProxyRequest = ProxyRequest> extends Received<R> {
  readonly principal: Principal;
}
export interface Admitted<R extends ProxyRequest = ProxyRequest> extends Identified<R> {
  readonly decision: Allow;
  readonly permit: Permit;
}
export interface Routed<R extends ProxyRequest = ProxyRequest> extends Admitted<R> {
  /** Best first. */
  readonly routes: readonly [Route, ...Route[]];
}
export interface Connected<R extends ProxyRequest = ProxyRequest> extends Routed<R> {
  readonly route: Route;
  readonly upstream: Connection;
}

/** Who is asking. `name` is empty for `none`. */
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

/** How to get there. `proxies` lists the hops nearest first; there is nearly always one. */
export type Route = { readonly via: 'direct' } | { readonly via: 'proxies'; readonly hops: Hops };
/** One proxy, or a chain of them. */
export type Hops = readonly [Hop, ...Hop[]];
export interface Hop {
  readonly scheme: HopScheme;
  readonly proxy: Authority;
  /** How far it is trusted: one that the user named is no target of the guard, and may be told credentials. */
  readonly namedBy: NamedBy;
  /** From the URL that names it. */
  readonly login?: Login | undefined;
}
/** `socks4` resolves names here, since the protocol carries none; `socks4a` and `socks5` send the name. */
export type HopScheme = 'http' | 'https' | 'socks4' | 'socks4a' | 'socks5';
/** `pac`: a script that nobody on the way could change. `untrusted-pac`: one from plain `http:` or from WPAD. */
export type NamedBy = 'user' | 'pac' | 'untrusted-pac';
export interface Login {
  readonly user: string;
  readonly password: Secret;
}

/** What a router answers: ordered ways to the target, best first, and what decided so. */
export interface Routing {
  readonly routes: readonly Route[];
  readonly by: RoutedBy;
}
export type RoutedBy =
  /** Nothing is configured. */
  | { readonly kind: 'default' }
  | { readonly kind: 'hook' }
  /** The entry of `noProxy` that matched. */
  | { readonly kind: 'no-proxy'; readonly entry: string }
  /** The rule of `routes.rules` that matched. */
  | { readonly kind: 'rule'; readonly rule: string }
  /** `routes.proxy`. */
  | { readonly kind: 'proxy' }
  /** Proxies that the system's settings name without a PAC. */
  | { readonly kind: 'system'; readonly source: string }
  | PacRouting;
/** A PAC was asked, or should have been. */
export interface PacRouting {
  readonly kind: 'pac';
  /** Where the script comes from, without secrets. */
  readonly source: string;
  /** Milliseconds since the script was fetched or read; `undefined` when there is none. */
  readonly ageMs: number | undefined;
  /** The script's raw answer; `undefined` when it gave none. */
  readonly answer: string | undefined;
  /** Why the script did not decide, in plain words: then the last good answer or the fall-back did. */
  readonly trouble: string | undefined;
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
}

/** How many bytes may pass now. Every limit on the path has agreed; the answer follows a limit that changes later. */
export interface Gate {
  /**
   * Grants 1…`bytesMax` bytes, now or when there is room. 0 means that the permit is over: it was disposed, also
   * while this very call waited, or a quota is used up. Nothing more will pass, and the tunnel ends.
   */
  take(bytesMax: number): number | Promise<number>;
  /** Returns what was granted and not used. */
  giveBack(bytes: number): void;
  /** Nothing holds up or counts these bytes now: whoever is `Permit.unheeding` need not ask. */
  readonly isIdle?: boolean;
}

/** Moves bytes without asking a gate, as long as that is idle. */
export interface Unheeding {
  limited(): void;
}

/** What was granted to one request; disposing gives the slots back. An absent gate limits nothing. */
export interface Permit extends Disposable {
  readonly up?: Gate;
  readonly down?: Gate;
  /** Whoever moves bytes past idle gates; told when a limit has come to apply, or the permit is over. */
  unheeding?: Unheeding | undefined;
  /** Names of the limits that apply, for the record. */
  readonly limits: readonly string[];
}
