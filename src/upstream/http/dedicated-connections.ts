import type { DialScope } from '../../contracts/dialing.ts';
import type { OriginOwner, OutgoingRequest } from '../../contracts/exchange.ts';
import type { Authority } from '../../contracts/request.ts';
import type { Connection, Route } from '../../contracts/stages.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import type { ProxyAuthContext, UpstreamAuth } from '../../upstream-auth/upstream-auth.ts';
import { DedicatedConnection, type ReuseTerms } from './dedicated-connection.ts';
import type { IdlePool } from './idle-pool.ts';
import { isStillAllowed, poolKey, readerOf, UpstreamConnection } from './upstream-connection.ts';

export interface DedicatedConnectionsOptions {
  readonly auth: Pick<UpstreamAuth, 'contextFor'>;
  readonly pool: Pick<IdlePool, 'epoch'>;
}

/** Connections to origins that log on connections, each for the one client connection that it belongs to. */
export class DedicatedConnections {
  readonly #options: DedicatedConnectionsOptions;

  constructor(options: DedicatedConnectionsOptions) {
    this.#options = options;
  }

  /** The connection that belongs to the client, if it leads to the target by one of the routes, and is still allowed. */
  async take(
    { originOwner, target }: OutgoingRequest,
    routes: readonly Route[],
    within: DialScope,
  ): Promise<UpstreamConnection | undefined> {
    const dedicated = originOwner?.owned;
    if (!(dedicated instanceof DedicatedConnection)) return undefined;
    const { key, connectionState, epoch } = dedicated.terms;
    for (const route of routes) {
      const hop = readerOf(route);
      const authContext = hop && (await this.#options.auth.contextFor(hop));
      if (keyOf(route, target, authContext, connectionState) !== key) continue;
      // It may have ended meanwhile.
      if (originOwner?.owned !== dedicated) return undefined;
      const connection = dedicated.take();
      if (epoch === this.#options.pool.epoch && isStillAllowed(connection, route, target, within.guard)) {
        const upstreamProxy = hop &&
          authContext && { hop, authContext, session: authContext.createSession(within, connectionState) };
        return new UpstreamConnection(route, connection, upstreamProxy, epoch);
      }
      connection[Symbol.dispose]();
      return undefined;
    }
    return undefined;
  }

  /** Takes a connection that has served a request, for the next request of the same client. */
  keep(
    owner: OriginOwner,
    connection: Connection,
    { route, upstreamProxy, epoch }: UpstreamConnection,
    to: Authority,
    connectionState: ReuseTerms['connectionState'],
  ): void {
    if (epoch !== this.#options.pool.epoch) connection[Symbol.dispose]();
    else
      owner.own(
        new DedicatedConnection(owner, connection, {
          key: keyOf(route, to, upstreamProxy?.authContext, connectionState),
          connectionState: connectionState,
          epoch,
        }),
      );
  }
}

/** An upstream proxy binds its connection to one origin: the target counts, also where the proxy reads the requests. */
const keyOf = (
  route: Route,
  target: Authority,
  authContext: ProxyAuthContext | undefined,
  connectionState: ReuseTerms['connectionState'],
): string => `${poolKey(route, target, authContext, connectionState)} for ${formatAuthority(target)}`;
