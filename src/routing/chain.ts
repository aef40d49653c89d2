import type { Authority } from '../contracts/request.ts';
import type { RouteMode, Router } from '../contracts/routing.ts';
import type { Route, RouteSource, Routing } from '../contracts/stages.ts';
import { buildNoProxyMatcher } from '../protocol/matching/no-proxy.ts';
import { isBlockedRoute } from '../protocol/routes/pac-result.ts';
import type { Sliced } from '../util/slices.ts';
import type { RoutesOptions } from './options.ts';
import { buildRuleMatcher } from './rules.ts';

const DIRECT: readonly Route[] = [{ via: 'direct' }];
/** `direct_fallback` in the log: tried when no proxy of the request can be reached. */
const FALLBACK: Route = { via: 'direct', isFallback: true };
const ONLY_FALLBACK: readonly Route[] = [FALLBACK];
const BY_DEFAULT: Routing = { routes: DIRECT, by: { kind: 'default' } };
const BY_MODE: Routing = { routes: DIRECT, by: { kind: 'mode', mode: 'direct' } };

/**
 * Decides the routes by the first of these that applies: `noProxy`, `rules`, the PAC, `proxy`; else direct.
 *
 * `pac` is the router of `routes.pac`, also when the system names proxies. When it returns no routes, its `by` says why:
 * `pac` with an age is a script that failed; `pac` without one a script that could not be read; anything else means that
 * neither a PAC nor proxies are set.
 *
 * `mode` is asked for each request: it takes the place of the PAC and of `proxy`, and of nothing else. A mode for which the
 * configuration has nothing changes nothing.
 */
export function* buildRouter(
  routes: RoutesOptions,
  pac: Router | undefined,
  mode: () => RouteMode = () => 'configured',
): Sliced<Router> {
  const exception = yield* exceptionsOf(routes.noProxy);
  const complete = routes.unreachable === 'direct' ? withFallback : (list: readonly Route[]) => list;
  const rule = yield* buildRuleMatcher(routes.rules.map((one) => ({ ...one, via: complete(one.via) })));
  const last: Routing =
    routes.proxy.length > 0 ? { routes: complete(routes.proxy), by: { kind: 'proxy' } } : BY_DEFAULT;
  const byMode: Routing = { routes: last.routes, by: { kind: 'mode', mode: 'proxy' } };
  const settleBy =
    (options: RoutesOptions, otherwise: Routing) =>
    (routing: Routing): Routing => {
      if (routing.routes.length === 0) return withoutRoutes(routing, options, otherwise);
      return mayFallBack(routing.by, options) ? { ...routing, routes: withFallback(routing.routes) } : routing;
    };
  const settle = settleBy(routes, last);
  const settleAlone = settleBy({ ...routes, proxy: [] }, BY_DEFAULT);
  return {
    route(from) {
      const { target } = from.request;
      const known = exception(target) ?? rule(target);
      if (known !== undefined) return known;
      const wanted = mode();
      if (wanted === 'direct') return BY_MODE;
      if (wanted === 'proxy' && routes.proxy.length > 0) return byMode;
      if (pac === undefined) return last;
      const complete = wanted === 'pac' ? settleAlone : settle;
      const routing = pac.route(from);
      return routing instanceof Promise ? routing.then(complete) : complete(routing);
    },
  };
}

/** The routings of all entries are made once, not per request. */
function* exceptionsOf(entries: readonly string[]): Sliced<(target: Authority) => Routing | undefined> {
  const match = yield* buildNoProxyMatcher(entries);
  const routings = new Map<string, Routing>();
  for (const entry of entries) {
    yield;
    routings.set(entry, { routes: DIRECT, by: { kind: 'no-proxy', entry } });
  }
  return (target) => {
    const entry = match(target);
    return entry === undefined ? undefined : routings.get(entry);
  };
}

/** Adds a direct route behind proxies, unless one with port 0 blocks the request, or a route is direct already. */
const withFallback = (routes: readonly Route[]): readonly Route[] =>
  routes.some((route) => route.via === 'direct' || isBlockedRoute(route)) ? routes : [...routes, FALLBACK];

/** Whether a request may go direct while the proxies of a routing cannot be reached. Never where a script has failed. */
function mayFallBack(by: RouteSource, { unreachable, pacUnreachable }: RoutesOptions): boolean {
  if (by.kind !== 'pac') return unreachable === 'direct';
  if (by.result === undefined) return false;
  // The last copy of a PAC that cannot be reached is used as long as its proxies can be reached.
  return unreachable === 'direct' || (by.failedAs === 'unreachable' && pacUnreachable === 'direct');
}

function withoutRoutes({ by }: Routing, { proxy, pacUnreachable }: RoutesOptions, last: Routing): Routing {
  if (by.kind !== 'pac') return last;
  // A script that failed, or a PAC that could not be read as one, may have required a proxy for this request: then the
  // request must not go direct.
  const isFailure = by.ageMs !== undefined || by.failedAs === 'unusable';
  if (proxy.length > 0) return { routes: isFailure ? proxy : last.routes, by };
  return { routes: !isFailure && pacUnreachable === 'direct' ? ONLY_FALLBACK : [], by };
}
