import type { Connector, DialScope } from '../core/contracts.ts';
import { asProxyError, FAILURES, ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, Route } from '../core/stages.ts';
import type { Paths } from './paths.ts';

/** Opens a tunnel along the first route that leads there. A failure of the kind `next-route` tries the next one. */
export class RouteConnector implements Connector {
  readonly #paths: Paths;

  constructor(paths: Paths) {
    this.#paths = paths;
  }

  async connect(
    routes: readonly Route[],
    to: Authority,
    within: DialScope,
  ): Promise<{ route: Route; upstream: Connection }> {
    let failure: ProxyError | undefined;
    for (const route of routes) {
      try {
        return { route, upstream: await this.#paths.tunnel(route, to, within) };
      } catch (error) {
        failure = asProxyError(error);
        if (FAILURES[failure.code].retry === 'never') throw failure;
      }
    }
    throw failure ?? new ProxyError('no_route', `no route to ${to.host}`);
  }
}
