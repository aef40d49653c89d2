import type { Observe } from '../contracts/event.ts';
import type { RouteHealth } from '../contracts/routing.ts';
import type { Hops } from '../contracts/stages.ts';

/** Passes events on, and reports how long connections to the first proxy take. */
export const timingConnections =
  (hops: Hops, health: Pick<RouteHealth, 'connected'>, observe: Observe): Observe =>
  (event) => {
    if (event.type === 'connected') health.connected(hops, event.ms);
    observe(event);
  };
