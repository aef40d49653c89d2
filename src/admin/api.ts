import type { ApiDeps } from './api-deps.ts';
import { ClientNames } from './client-names.ts';
import { EventFeed } from './event-feed.ts';
import { explainRoutes } from './explain-routes.ts';
import { limitRoutes } from './limit-routes.ts';
import { metricsRoutes } from './metrics-routes.ts';
import { modeRoutes } from './mode-routes.ts';
import { apiDescription } from './openapi.ts';
import { ownerRoutes } from './owner-routes.ts';
import type { Route } from './routes.ts';
import { sessionRoutes } from './session-routes.ts';
import { statusRoutes } from './status-routes.ts';
import { tunnelRoutes } from './tunnel-routes.ts';
import { waysRoutes } from './ways-routes.ts';
import { whyRoutes } from './why-routes.ts';

/** Everything under `/api` but the sign-in. Disposing ends the streams of events. */
export interface Api extends Disposable {
  readonly routes: readonly Route[];
  /** A line of the log, for the viewers. */
  log(level: string, message: string): void;
}

export function apiRoutes(given: ApiDeps): Api {
  const names = new ClientNames(given.clock);
  const feed = new EventFeed(given, names);
  const deps: ApiDeps = {
    ...given,
    onRotated() {
      given.onRotated();
      feed.closeAll();
    },
  };
  return {
    routes: [
      ...metricsRoutes(deps),
      descriptionRoute(deps),
      ...waysRoutes(deps),
      ...statusRoutes(deps),
      ...tunnelRoutes(deps, names),
      ...limitRoutes(deps),
      ...whyRoutes(deps),
      ...explainRoutes(deps),
      ...modeRoutes(deps),
      ...ownerRoutes(deps),
      ...sessionRoutes(deps),
      eventsRoute(feed),
    ],
    log: (level, message) => feed.log(level, message),
    [Symbol.dispose]: () => feed[Symbol.dispose](),
  };
}

const descriptionRoute = ({ version }: ApiDeps): Route => ({
  method: 'GET',
  path: '/api/openapi.json',
  purpose: 'api',
  run: () => ({ status: 200, json: apiDescription(version) }),
});

const eventsRoute = (feed: EventFeed): Route => ({
  method: 'GET',
  path: '/api/events',
  purpose: 'api',
  run: ({ response }) => feed.open(response),
});
