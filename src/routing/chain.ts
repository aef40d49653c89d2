import type { Router } from '../core/contracts.ts';
import type { Authority } from '../core/request.ts';
import type { Route, Routing } from '../core/stages.ts';
import { noProxyMatcher } from '../protocol/no-proxy.ts';
import type { RoutesOptions } from './options.ts';
import { ruleMatcher } from './rules.ts';

const DIRECT: readonly Route[] = [{ via: 'direct' }];
const BY_DEFAULT: Routing = { routes: DIRECT, by: { kind: 'default' } };

/**
 * Who decides the way, in order: `noProxy`, `rules`, the PAC, `proxy`; direct where nobody does.
 *
 * `pac` answers for `routes.pac`, also when it is the system that names proxies. Without routes it has no answer, and
 * its `by` says what that means: `pac` with an age is a script that failed; `pac` without one a script that is not
 * there; anything else means that no PAC and no proxies are set.
 */
export function routerOf(routes: RoutesOptions, pac: Router | undefined): Router {
  const exception = exceptionsOf(routes.noProxy);
  const rule = ruleMatcher(routes.rules);
  const last: Routing = routes.proxy.length > 0 ? { routes: routes.proxy, by: { kind: 'proxy' } } : BY_DEFAULT;
  const settled = (answer: Routing): Routing =>
    answer.routes.length > 0 ? answer : withoutAnswer(answer, routes, last);
  return {
    route(from) {
      const { target } = from.request;
      const known = exception(target) ?? rule(target);
      if (known !== undefined || pac === undefined) return known ?? last;
      const answer = pac.route(from);
      return answer instanceof Promise ? answer.then(settled) : settled(answer);
    },
  };
}

/** One routing for each entry, made once. */
function exceptionsOf(entries: readonly string[]): (target: Authority) => Routing | undefined {
  const match = noProxyMatcher(entries);
  const routings = new Map<string, Routing>(
    entries.map((entry) => [entry, { routes: DIRECT, by: { kind: 'no-proxy', entry } }]),
  );
  return (target) => {
    const entry = match(target);
    return entry === undefined ? undefined : routings.get(entry);
  };
}

function withoutAnswer({ by }: Routing, { proxy, pacUnreachable }: RoutesOptions, last: Routing): Routing {
  if (by.kind !== 'pac') return last;
  if (proxy.length > 0) return { routes: proxy, by };
  // A script that fails is no reason to refuse: browsers go direct then (Chromium's ProxyResolverFails), and so do we.
  const mayGoDirect = by.ageMs !== undefined || pacUnreachable === 'direct';
  return { routes: mayGoDirect ? DIRECT : [], by };
}
