import { contextOf, type RequestContext } from '../core/context.ts';
import type { Router } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Route } from '../core/stages.ts';

/** One way to the target. */
export type RouteChoice = 'direct';

/** By which way? One answer, or several in the order in which they are tried. A throw answers 502. */
export type RouteHook = (
  context: RequestContext,
) => RouteChoice | readonly RouteChoice[] | Promise<RouteChoice | readonly RouteChoice[]>;

export const hookRouter = (choose: RouteHook): Router => ({
  async route(from) {
    try {
      const chosen = await choose(contextOf(from));
      const routes = (typeof chosen === 'string' ? [chosen] : chosen).map(routeOf);
      return { routes, by: { kind: 'hook' } };
    } catch (cause) {
      if (cause instanceof ProxyError) throw cause;
      throw new ProxyError('no_route', 'the route hook failed', { cause });
    }
  },
});

function routeOf(choice: RouteChoice): Route {
  if (choice === 'direct') return { via: 'direct' };
  throw new ProxyError('no_route', `the route hook named ${JSON.stringify(choice)}, which is no route`);
}
