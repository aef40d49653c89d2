import type { Connector, DialScope } from '../core/contracts.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, Route } from '../core/stages.ts';
import type { Failover, Try } from './failover.ts';
import type { Paths } from './paths.ts';

/** Opens a tunnel along the first route that leads there. */
export class RouteConnector implements Connector {
  readonly #paths: Paths;
  readonly #failover: Failover;

  constructor(paths: Paths, failover: Failover) {
    this.#paths = paths;
    this.#failover = failover;
  }

  async connect(
    routes: readonly Route[],
    to: Authority,
    within: DialScope,
  ): Promise<{ route: Route; upstream: Connection }> {
    const open: Try<Connection> = async (route, scope) => {
      const connection = await this.#paths.tunnel(route, to, scope);
      if (route.via === 'proxies') this.#failover.health.answered(route.hops);
      return connection;
    };
    const { route, value } = await this.#failover.first(routes, within, open);
    return { route, upstream: value };
  }
}
