import type { BodyMover } from '../contracts/body-mover.ts';
import type { Connector } from '../contracts/dialing.ts';
import type { Observe } from '../contracts/event.ts';
import type { Exchange } from '../contracts/exchange.ts';
import type { Authenticator, ClientFilter } from '../contracts/identity.ts';
import type { Limiter } from '../contracts/limits.ts';
import type { AddressGuard, Policy } from '../contracts/policy.ts';
import type { Relay } from '../contracts/relay.ts';
import type { Authority, ClientInfo } from '../contracts/request.ts';
import type { Resolver } from '../contracts/resolver.ts';
import type { RespondHook } from '../contracts/respond-hook.ts';
import type { ModeState, RouteHealth, Router } from '../contracts/routing.ts';
import type { Timeouts } from '../contracts/timeouts.ts';
import type { TunnelHook } from '../contracts/tunnel-hook.ts';
import type { UpstreamAccounts } from '../contracts/upstream-account.ts';
import type { Clock } from '../util/clock.ts';

/** What the pipeline needs of the other modules. `app/` puts it together; nothing in the pipeline knows an implementation. */
export interface Services {
  readonly lifetime: Lifetime;
  /** `undefined`: clients from everywhere may use the proxy. */
  readonly clientFilter: ClientFilter | undefined;
  readonly authenticator: Authenticator;
  readonly policy: Policy;
  /** For clients of every listener but those on bridges. */
  readonly guard: AddressGuard;
  readonly bridgeGuard: AddressGuard;
  readonly limiter: Limiter;
  readonly router: Router;
  readonly connector: Connector;
  readonly exchange: Exchange;
  readonly resolver: Resolver;
  readonly relay: Relay;
  readonly bodies: BodyMover;
  readonly clock: Clock;
  readonly observe: Observe;
  /** Receives the heads that pass; `undefined`: they are not printed. */
  readonly tap: Observe | undefined;
  readonly identity: ProxyIdentity;
  readonly pages: LocalPages;
  /** Which upstream proxies are down; only `why` reads it. */
  readonly health: Pick<RouteHealth, 'downUntilMs'>;
  /** Our accounts at upstream proxies; only `why` reads them. */
  readonly accounts: UpstreamAccounts;
  /** Who decides about routes; only `why` shows it. */
  readonly mode: () => ModeState;
  readonly timeouts: Timeouts;
  /** Of a program that embeds the proxy. */
  readonly respond?: RespondHook | undefined;
  readonly tunnel?: TunnelHook | undefined;
  /** `repeat`: what is decided about a CONNECT holds for another one that is the same, as long as the configuration does. */
  readonly decisions: 'repeat' | 'each';
}

/**
 * Keeps what one configuration has built from being disposed while a request uses it. Two calls and no `Disposable`: every
 * request makes them, and a `using` costs half a microsecond.
 */
export interface Lifetime {
  acquire(): void;
  release(): void;
}

/** What the pages that the proxy serves itself depend on. */
export interface LocalPages {
  /** Whether the host is this machine. */
  isOurs(host: string): boolean;
  /** The PAC for browsers, which sends them to `proxy` wherever the user's own PAC names a proxy; `HTTPS`: inside TLS. */
  pac(proxy: Authority, by: 'PROXY' | 'HTTPS'): string;
}

/** How this proxy is named in messages. */
export interface ProxyIdentity {
  /** In `Proxy-Status` and on pages. */
  readonly name: string;
  /** In `Via`: the name and a random suffix of this proxy, so that a loop differs from one Viaduct behind another. */
  readonly pseudonym: string;
}

/** The guard that judges the addresses of a client's targets. */
export const guardFor = (
  { isOnBridge }: Pick<ClientInfo, 'isOnBridge'>,
  { guard, bridgeGuard }: Pick<Services, 'guard' | 'bridgeGuard'>,
): AddressGuard => (isOnBridge === true ? bridgeGuard : guard);
