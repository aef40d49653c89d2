import type { Connector, DialScope } from '../contracts/dialing.ts';
import type { Authority } from '../contracts/request.ts';
import type { Connection, Route } from '../contracts/stages.ts';
import type { RouteAttempt } from './attempts.ts';
import type { RouteDialer } from './dial/route-dialer.ts';
import type { DirectFallback } from './direct-fallback.ts';
import type { Failover } from './failover.ts';

/** Opens a tunnel along the first route that leads there. */
export class RouteConnector implements Connector {
  readonly #dialer: RouteDialer;
  readonly #failover: Failover;
  readonly #fallback: DirectFallback;

  constructor(dialer: RouteDialer, failover: Failover, fallback: DirectFallback) {
    this.#dialer = dialer;
    this.#failover = failover;
    this.#fallback = fallback;
  }

  async connect(
    routes: readonly Route[],
    to: Authority,
    within: DialScope,
  ): Promise<{ route: Route; upstream: Connection }> {
    const open: RouteAttempt<Connection> = (route, scope) =>
      route.via === 'direct' ? this.#dialer.tunnel(route, to, scope) : this.#openThrough(route, to, scope);
    try {
      const { route, value } = await this.#fallback.first(routes, within, open);
      return { route, upstream: value };
    } catch (error) {
      throw this.#fallback.explained(error, routes, within);
    }
  }

  async #openThrough(route: Route & { via: 'proxies' }, to: Authority, within: DialScope): Promise<Connection> {
    const connection = await this.#dialer.tunnel(route, to, within);
    this.#failover.health.responded(route.hops);
    return connection;
  }
}
