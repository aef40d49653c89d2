import type { Clock } from '../core/clock.ts';
import type {
  AddressGuard,
  Authenticator,
  BodyMover,
  Connector,
  Exchange,
  Limiter,
  Observe,
  OwnAccounts,
  Policy,
  Relay,
  Resolver,
  RouteHealth,
  Router,
} from '../core/contracts.ts';
import type { OwnPages } from './own.ts';

/** What the story needs of the house. The engine puts it together; nothing in here knows an implementation. */
export interface Rooms {
  readonly authenticator: Authenticator;
  readonly policy: Policy;
  readonly guard: AddressGuard;
  readonly limiter: Limiter;
  readonly router: Router;
  readonly connector: Connector;
  readonly exchange: Exchange;
  readonly resolver: Resolver;
  readonly relay: Relay;
  readonly bodies: BodyMover;
  readonly clock: Clock;
  readonly observe: Observe;
  /** Present when somebody reads the heads that pass. */
  readonly tap: Observe | undefined;
  readonly identity: ProxyIdentity;
  readonly pages: OwnPages;
  /** Who sits out; only `why` asks. */
  readonly health: Pick<RouteHealth, 'sitsOutUntilMs'>;
  /** Who we are at upstream proxies; only `why` asks. */
  readonly accounts: OwnAccounts;
  readonly times: StoryTimes;
}

/** Who we are on the wire. */
export interface ProxyIdentity {
  /** In `Proxy-Status` and on pages. */
  readonly name: string;
  /** In `Via`: the name and a random suffix of this proxy, so that a loop is told from one Viaduct behind another. */
  readonly pseudonym: string;
}

/** Silences that end a request, in milliseconds. */
export interface StoryTimes {
  readonly requestBodyMs: number;
  readonly idleMs: number;
  readonly lingerMs: number;
}
