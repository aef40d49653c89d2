import * as z from 'zod';
import { askHook } from '../contracts/ask-hook.ts';
import { HookContext, type RequestContext } from '../contracts/context.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { LoginTerms } from '../contracts/login-terms.ts';
import { addressesIn, type LookupHookResult } from '../contracts/lookup-answer.ts';
import type { HopTls, OutboundTerms } from '../contracts/outbound.ts';
import type { Router } from '../contracts/routing.ts';
import type { Hop, Route, Routing } from '../contracts/stages.ts';
import { parseRoutes, type RouteText } from '../protocol/routes/route-text.ts';
import { type LoginTermsInput, loginTerms } from '../settings/login-setting.ts';
import { type OutboundInput, outboundShape, outboundTerms } from '../settings/outbound-setting.ts';
import { LruMap } from '../util/lru-map.ts';
import { type HopTlsInput, hopTls } from './hop-tls.ts';

/**
 * A proxy and how its login is sent: `{ url: 'http://user:password@proxy.example', auth: { latch: false } }`.
 * `preemptive`: Basic goes with the first request, before the proxy has asked. Default: `true` for a login in the URL, as
 * with a URL alone, unless `scheme` names others. `latch: false`: a rejected password is sent again with the next request.
 */
export interface ProxyHop {
  readonly url: string | URL;
  readonly auth?: LoginTermsInput | undefined;
  /** TLS with an `https:` proxy. */
  readonly tls?: HopTlsInput | undefined;
}
/** `direct`, or the URL of a proxy: `http://user:password@proxy.corp:8080`, `https://…`, `socks5://…`. */
export type HopChoice = 'direct' | (string & {}) | URL | ProxyHop;
/** One route to the target: `direct`, a proxy, or a chain of proxies, nearest first. */
export type RouteChoice = HopChoice | readonly HopChoice[];

/** Routes, and how their connections are opened and kept: `{ via: 'direct', from: ['192.0.2.1', '192.0.2.2'], family: 4 }`. */
export interface RouteWithTerms extends OutboundInput {
  readonly via: HopChoice | readonly RouteChoice[];
  /** Resolves the names that these routes need; nothing of it is remembered. `context` is that of the request. */
  readonly lookup?:
    | ((host: string, context: RequestContext) => LookupHookResult | Promise<LookupHookResult>)
    | undefined;
  /** `false`: a connection serves one request. Default: `true`. */
  readonly keepAlive?: boolean | undefined;
}
export type RouteHookResult = HopChoice | readonly RouteChoice[] | RouteWithTerms;

/**
 * Chooses the routes of a request: one, or a list of them in the order in which they are tried; a chain of proxies is a
 * list in that list: `[['https://parent.corp', 'socks5://behind.corp'], 'direct']`. The client gets 502 `no_route` for an
 * invalid return value, 500 `hook_failed` when the hook throws, and the status of a `ProxyError` that it throws.
 */
export type RouteHook = (context: RequestContext) => RouteHookResult | Promise<RouteHookResult>;

/** Routings that are cached: programs name few proxies, and one that makes a new URL each time must not fill memory. */
const ROUTINGS_MAX = 1024;

export function hookRouter(choose: RouteHook): Router {
  const routings = new LruMap<string, Routing>(ROUTINGS_MAX);
  const routingOf = (result: unknown): Routing => {
    if (result === 'direct') return DIRECT;
    const choices = (Array.isArray(result) ? result : [result]).map(parseChoice);
    const key = JSON.stringify(choices);
    const before = routings.get(key);
    if (before !== undefined) return before;
    const routing: Routing = { routes: routesOf(choices), by: { kind: 'hook' } };
    routings.set(key, routing);
    return routing;
  };
  return {
    route({ request, principal }) {
      const context = new HookContext(request, principal);
      return askHook(
        'route',
        () => choose(context),
        (result) => {
          if (!isWithTerms(result)) return routingOf(result);
          const terms = termsOf(result, context);
          const { routes, by } = routingOf(result.via);
          // Its connections are then those of everyone.
          if (Object.values(terms).every((term) => term === undefined)) return { routes, by };
          return { routes: routes.map((route) => ({ ...route, terms })), by };
        },
      );
    },
  };
}

const DIRECT: Routing = { routes: [{ via: 'direct' }], by: { kind: 'hook' } };

const isWithTerms = (result: RouteHookResult): result is RouteWithTerms =>
  typeof result === 'object' && result !== null && 'via' in result;

const termsSchema = z.strictObject({ ...outboundShape, keepAlive: z.boolean().optional() });

function termsOf({ via: _, lookup, ...written }: RouteWithTerms, context: RequestContext): OutboundTerms {
  const { keepAlive, ...outbound } = parsed(termsSchema, written, []);
  return {
    ...outboundTerms(outbound),
    keepAlive: keepAlive === false ? false : undefined,
    lookup: lookup && ((host) => lookedUp(lookup, host, context)),
  };
}

async function lookedUp(
  lookup: NonNullable<RouteWithTerms['lookup']>,
  host: string,
  context: RequestContext,
): Promise<readonly string[]> {
  return addressesIn(await lookup(host, context));
}

/** What a hook has returned, as the settings are read. */
function parsed<T extends z.ZodType>(schema: T, value: unknown, path: readonly string[]): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const [key] = issue?.code === 'unrecognized_keys' ? issue.keys : [];
  const where = [...path, ...(issue?.path ?? []), ...(key === undefined ? [] : [key])].join('.');
  const what = key === undefined ? (issue?.message ?? 'is not valid') : 'is no term that is known here';
  throw new ProxyError('no_route', `the route hook's result: ${where}: ${what}`);
}

/** One choice in the notation of the settings, and how the login of each of its proxies is sent. */
interface Choice {
  readonly text: RouteText;
  readonly auth: readonly (LoginTerms | undefined)[];
  readonly tls: readonly (HopTls | undefined)[];
}

/** A program may be written in JavaScript, so the type of its result is checked. */
function parseChoice(choice: unknown): Choice {
  if (!Array.isArray(choice)) {
    const { text, auth, tls } = parseHop(choice);
    return { text, auth: [auth], tls: [tls] };
  }
  const hops = choice.map(parseHop);
  return { text: hops.map(({ text }) => text), auth: hops.map(({ auth }) => auth), tls: hops.map(({ tls }) => tls) };
}

interface ParsedHop {
  readonly text: string;
  readonly auth?: LoginTerms | undefined;
  readonly tls?: HopTls | undefined;
}

function parseHop(hop: unknown): ParsedHop {
  if (typeof hop === 'string') return { text: hop };
  if (hop instanceof URL) return { text: hop.href };
  if (typeof hop !== 'object' || hop === null || !('url' in hop)) throw invalidHop(hop);
  // Left out without a word, a term that is written here would not hold.
  for (const key in hop) if (!HOP_KEYS.has(key)) throw unknownHopKey(key);
  const { url } = hop;
  const auth = parsed(z.optional(loginTerms), 'auth' in hop ? hop.auth : undefined, ['auth']);
  const tls = parsed(z.optional(hopTls), 'tls' in hop ? hop.tls : undefined, ['tls']);
  if (typeof url === 'string') return { text: url, auth, tls };
  if (url instanceof URL) return { text: url.href, auth, tls };
  throw invalidHop(url);
}

const HOP_KEYS: ReadonlySet<string> = new Set(['url', 'auth', 'tls'] satisfies (keyof ProxyHop)[]);

const unknownHopKey = (key: string): ProxyError =>
  new ProxyError(
    'no_route',
    `the route hook's result: ${key} beside url: a proxy has url, auth and tls; terms stand beside via: { via: { url }, from }`,
  );

const invalidHop = (result: unknown): ProxyError =>
  new ProxyError(
    'no_route',
    `the route hook returned ${kindOf(result)}, which is not a valid route; return 'direct', the URL of a proxy, or a list of them`,
  );

const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value);
  return typeof value === 'object' ? 'an object without url and via' : `a ${typeof value}`;
};

/** Proxies that a hook names are trusted like configured ones. */
function routesOf(choices: readonly Choice[]): readonly Route[] {
  try {
    const routes = choices.flatMap(({ text, auth, tls }) =>
      parseRoutes([text], 'user').map((route) => withHopTerms(route, auth, tls)),
    );
    // Once more as a whole, which checks the number of routes.
    parseRoutes(
      choices.map(({ text }) => text),
      'user',
    );
    return routes;
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new ProxyError('no_route', `the route hook's result ${cause.message}`, { cause });
  }
}

/** One text may hold several routes, and its terms then apply to each; a chain has terms for each of its proxies. */
function withHopTerms(route: Route, auth: Choice['auth'], tls: Choice['tls']): Route {
  if (route.via === 'direct') return route;
  const [first, ...behind] = route.hops.map((hop, at) => {
    const own = tls[at];
    return withLoginTerms(own === undefined ? hop : { ...hop, tls: own }, auth[at]);
  });
  return first === undefined ? route : { ...route, hops: [first, ...behind] };
}

/** A login that a hook names for a request is sent at once, without waiting for a 407. */
function withLoginTerms(hop: Hop, terms: LoginTerms | undefined): Hop {
  if (hop.login === undefined) return terms === undefined ? hop : { ...hop, auth: terms };
  const { schemes, preemptive = schemes === undefined, latch } = terms ?? {};
  return { ...hop, auth: { schemes, preemptive, latch } };
}
