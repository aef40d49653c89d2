import type { FailureCode } from './failure.ts';
import type { AdmittedRequest, Hops, Routing } from './stages.ts';

/** Ordered routes to the target, best first. An empty list becomes `no_route`. */
export interface Router {
  route(from: AdmittedRequest): Routing | Promise<Routing>;
}

/**
 * Who decides about routes behind exceptions and rules: what the configuration says (`configured`), the PAC alone, no one
 * (`direct`), or the configured proxies alone.
 */
export const ROUTE_MODES = ['configured', 'pac', 'direct', 'proxy'] as const;
export type RouteMode = (typeof ROUTE_MODES)[number];

/** The mode in force. */
export interface ModeState {
  readonly mode: RouteMode;
  /** When it ends, on the wall clock; absent: with the next reload or restart. */
  readonly untilMs?: number | undefined;
}

/**
 * Which upstream proxies are up; a chain is known as a whole. One that failed is down for a while; a change of the
 * network clears all, and what was learned about an older network is ignored.
 */
export interface RouteHealth {
  /** Counts the networks that this machine has been in. */
  readonly generation: number;
  /** On the proxy's clock; `undefined`: it is in service. */
  downUntilMs(hops: Hops): number | undefined;
  /** A connection to its first proxy took so long. */
  connected(hops: Hops, ms: number): void;
  /** It has responded to a request: it is alive. */
  responded(hops: Hops): void;
  failed(hops: Hops, why: FailureCode, generation: number): void;
}
