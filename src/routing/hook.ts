import { contextOf, type RequestContext } from '../core/context.ts';
import type { Router } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Route, Routing } from '../core/stages.ts';
import { parseRoutes, type RoutesText, type RouteText } from '../protocol/route-text.ts';

/** `direct`, or the URL of a proxy: `http://user:password@proxy.corp:8080`, `https://…`, `socks5://…`. */
type HookWay = 'direct' | (string & {}) | URL;
/** One way to the target: `direct`, a proxy, or a chain of proxies, nearest first. */
export type RouteChoice = HookWay | readonly HookWay[];

/**
 * By which way? One answer, or a list of them in the order in which they are tried; a chain of proxies is a list in
 * that list: `[['https://parent.corp', 'socks5://behind.corp'], 'direct']`. A throw answers 502.
 */
export type RouteHook = (
  context: RequestContext,
) => HookWay | readonly RouteChoice[] | Promise<HookWay | readonly RouteChoice[]>;

/** Answers that are remembered: programs name few proxies, and one that makes a new URL each time must not fill memory. */
const ANSWERS_MAX = 1024;

export function hookRouter(choose: RouteHook): Router {
  const known = new Map<string, Routing>();
  return {
    async route(from) {
      const text = textOf(await askedOf(choose, contextOf(from)));
      if (text === 'direct') return DIRECT;
      const key = JSON.stringify(text);
      const before = known.get(key);
      if (before !== undefined) return before;
      const routing: Routing = { routes: routesOf(text), by: { kind: 'hook' } };
      const [oldest] = known.keys();
      if (known.size >= ANSWERS_MAX && oldest !== undefined) known.delete(oldest);
      known.set(key, routing);
      return routing;
    },
  };
}

const DIRECT: Routing = { routes: [{ via: 'direct' }], by: { kind: 'hook' } };

async function askedOf(choose: RouteHook, context: RequestContext): Promise<unknown> {
  try {
    return await choose(context);
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause;
    throw new ProxyError('no_route', 'the route hook failed', { cause });
  }
}

/** The answer in the form of the settings. A program may be written in JavaScript, so nothing of it is taken for granted. */
const textOf = (chosen: unknown): RoutesText => (Array.isArray(chosen) ? chosen.map(choiceOf) : wayOf(chosen));
const choiceOf = (choice: unknown): RouteText => (Array.isArray(choice) ? choice.map(wayOf) : wayOf(choice));

function wayOf(way: unknown): string {
  if (typeof way === 'string') return way;
  if (way instanceof URL) return way.href;
  throw new ProxyError('no_route', `the route hook answered ${kindOf(way)}, which is no way`);
}

const kindOf = (value: unknown): string =>
  value === null || value === undefined ? String(value) : `a ${typeof value}`;

/** What the program names is as good as configured. */
function routesOf(text: RoutesText): readonly Route[] {
  try {
    return parseRoutes(text, 'user');
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new ProxyError('no_route', `the route hook's answer ${cause.message}`, { cause });
  }
}
