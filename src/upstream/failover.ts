import type { DialScope } from '../contracts/dialing.ts';
import { asProxyError, ProxyError } from '../contracts/failure.ts';
import type { Route } from '../contracts/stages.ts';
import type { Clock } from '../util/clock.ts';
import { Attempts, type RouteAttempt, type RouteResult } from './attempts.ts';
import type { ProxyHealth } from './health/proxy-health.ts';
import { nameProxy, reportFailure } from './route-failure.ts';
import { timingConnections } from './timing-connections.ts';

/** Tries routes until one succeeds: a request whose first proxy is dead succeeds through the next one. */
export class Failover {
  readonly health: ProxyHealth;
  readonly #clock: Clock;

  constructor(health: ProxyHealth, clock: Clock) {
    this.health = health;
    this.#clock = clock;
  }

  /** Rejects with the failure of the route that was tried first; its detail names the others. */
  first<T extends Disposable>(
    routes: readonly Route[],
    within: DialScope,
    attempt: RouteAttempt<T>,
  ): Promise<RouteResult<T>> {
    const ordered = this.health.byHealth(routes);
    const [best] = ordered;
    if (best === undefined) return Promise.reject(new ProxyError('no_route', 'there is no route'));
    if (within.signal.aborted) return Promise.reject(within.signal.reason);
    if (ordered.length === 1) return this.#only(best, within, attempt);
    return new Attempts(ordered, within, attempt, this.health, this.#clock).result;
  }

  /** A single route needs no timer and no signal of its own. */
  async #only<T>(route: Route, within: DialScope, attempt: RouteAttempt<T>): Promise<RouteResult<T>> {
    const { generation } = this.health;
    let isCommitted = false;
    const scope =
      route.via === 'direct'
        ? within
        : {
            ...within,
            observe: timingConnections(route.hops, this.health, within.observe),
            commit: () => {
              isCommitted = true;
              this.health.responded(route.hops);
            },
          };
    try {
      return { route, value: await attempt(route, scope, () => undefined) };
    } catch (error) {
      const failure = asProxyError(error);
      if (!isCommitted) reportFailure(route, failure, generation, this.health);
      throw nameProxy(route, failure);
    }
  }
}
