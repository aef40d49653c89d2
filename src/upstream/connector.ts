import type { Connector, Dialer, DialScope } from '../core/contracts.ts';
import { asProxyError, FAILURES, ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, Route } from '../core/stages.ts';

/** Opens a tunnel along the first route that leads there. A failure of the kind `next-route` tries the next one. */
export class RouteConnector implements Connector {
  readonly #dialers: ReadonlyMap<string, Dialer>;

  constructor(dialers: readonly Dialer[]) {
    this.#dialers = new Map(dialers.map((dialer) => [dialer.scheme, dialer]));
  }

  async connect(
    routes: readonly Route[],
    to: Authority,
    within: DialScope,
  ): Promise<{ route: Route; upstream: Connection }> {
    let failure: ProxyError | undefined;
    for (const route of routes) {
      try {
        return { route, upstream: await this.#along(route, to, within) };
      } catch (error) {
        failure = asProxyError(error);
        if (FAILURES[failure.code].retry === 'never') throw failure;
      }
    }
    throw failure ?? new ProxyError('no_route', `no route to ${to.host}`);
  }

  #along(route: Route, to: Authority, within: DialScope): Promise<Connection> {
    const scheme = route.via === 'direct' ? 'direct' : route.hops[0].scheme;
    const dialer = this.#dialers.get(scheme);
    if (dialer === undefined) throw new ProxyError('no_route', `this proxy cannot go by ${scheme}`);
    return dialer.dial(route.via === 'direct' ? undefined : route.hops[0], to, within);
  }
}
