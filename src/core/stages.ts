import type { FailureCode } from './failure.ts';
import type { Authority, ProxyRequest } from './request.ts';
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
export type Route = { readonly via: 'direct' } | { readonly via: 'proxies'; readonly hops: readonly [Hop, ...Hop[]] };
export interface Hop {
  readonly scheme: string;
  readonly proxy: Authority;
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
}

/** What was granted to one request; disposing gives the slots back. An absent gate limits nothing. */
export interface Permit extends Disposable {
  readonly up?: Gate;
  readonly down?: Gate;
  /** Names of the limits that apply, for the record. */
  readonly limits: readonly string[];
}
