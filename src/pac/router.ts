import type { Observe } from '../contracts/event.ts';
import { asProxyError, ProxyError } from '../contracts/failure.ts';
import type { ProxyRequest } from '../contracts/request.ts';
import type { Router } from '../contracts/routing.ts';
import type { AdmittedRequest, PacRouting, Route, Routing } from '../contracts/stages.ts';
import { noProxyMatcher } from '../protocol/matching/no-proxy.ts';
import { readPacResult, unreadText } from '../protocol/routes/pac-result.ts';
import { parseProxyUrl } from '../protocol/routes/proxy-url.ts';
import type { Clock } from '../util/clock.ts';
import type { PacEngine } from './engine/engine.ts';
import { LastRoutes } from './last-routes.ts';
import { PacNotices } from './notices.ts';
import type { PacSource, PacState, SystemProxies } from './script.ts';
import { scriptUrlOf } from './script-url.ts';

const DIRECT: readonly Route[] = [{ via: 'direct' }];
const NOTHING_SET: Routing = { routes: [], by: { kind: 'default' } };

export interface PacRouterOptions {
  /** Read for every request: a reload may change the source. */
  readonly source: Pick<PacSource, 'state'>;
  readonly engine: PacEngine;
  readonly clock: Clock;
  readonly observe: Observe;
  /** Which calls of helpers a routing lists. Default: lookups and alerts; to record all calls costs much more. */
  readonly trace?: ((from: AdmittedRequest) => 'calls' | 'lookups') | undefined;
}

/**
 * Evaluates the PAC, for `localhost` too: browsers connect there directly, so a client that sends such a request to a
 * proxy does so on purpose. A routing without routes means that the PAC did not decide, and `by` says why: `pac` with an
 * age is a script that failed and never returned routes for this host, `pac` without one a script that could not be read,
 * and anything else means that no PAC is configured. routing/chain.ts decides what happens then.
 */
export function pacRouter(options: PacRouterOptions): Router {
  const { source, clock } = options;
  const notices = new PacNotices(clock, options.observe);
  const lastRoutes = new LastRoutes();
  let system: { readonly proxies: SystemProxies; readonly route: (request: ProxyRequest) => Routing } | undefined;
  return {
    route(from) {
      const { state } = source;
      if (state.at === 'none') return NOTHING_SET;
      switch (state.at) {
        case 'system-proxies':
          if (system?.proxies !== state.proxies) {
            system = { proxies: state.proxies, route: systemRouter(state.proxies, notices) };
          }
          return system.route(from.request);
        case 'unreachable':
          notices.failure(state.failure, `the PAC from ${state.source} cannot be used: ${state.failure}`);
          return { routes: [], by: missing(state) };
        case 'script':
          return routeByScript(from, state, options, { notices, lastRoutes });
      }
    },
  };
}

async function routeByScript(
  from: AdmittedRequest,
  { script, failedAs }: PacState & { readonly at: 'script' },
  { engine, clock, trace }: PacRouterOptions,
  { notices, lastRoutes }: { readonly notices: PacNotices; readonly lastRoutes: LastRoutes },
): Promise<Routing> {
  const { signal, client } = from.request;
  const { url, host } = scriptUrlOf(from.request);
  const query = { url, host, client: client.address, signal };
  const evaluation = await engine.evaluate(script, { ...query, trace: trace?.(from) ?? 'lookups' });
  if (signal.aborted) throw asProxyError(signal.reason);
  const { calls, ms } = evaluation;
  notices.alerts(calls);
  const age = { kind: 'pac', source: script.source, ageMs: clock.now() - script.readMs, calls, ms } as const;
  const by = failedAs === undefined ? age : { ...age, failedAs };
  if (evaluation.ok) {
    const read = readPacResult(evaluation.result, script.namedBy);
    const unread = unreadText(read);
    if (unread !== undefined) notices.failure(unread, `the PAC from ${script.source}, for ${host}: ${unread}`);
    lastRoutes.set(script.source, host, read.routes);
    const details = { ...by, result: evaluation.result, failure: undefined };
    return { routes: read.routes, by: unread === undefined ? details : { ...details, unread } };
  }
  const last = lastRoutes.get(script.source, host);
  const instead = last === undefined ? '' : '; its last routes for this host are used';
  const message = `the PAC from ${script.source} did not decide about ${host}: ${evaluation.failure}${instead}`;
  notices.failure(evaluation.failure, message);
  return { routes: last ?? [], by: { ...by, result: undefined, failure: evaluation.failure } };
}

const missing = ({ source, failure, failedAs }: PacState & { readonly at: 'unreachable' }): PacRouting => ({
  kind: 'pac',
  source,
  ageMs: undefined,
  ...(failedAs && { failedAs }),
  result: undefined,
  failure,
  calls: [],
  ms: 0,
});

/** Tunnels use the system's proxy for `https:`, plain requests that for `http:`. */
function systemRouter(proxies: SystemProxies, notices: PacNotices): (request: ProxyRequest) => Routing {
  const exception = noProxyMatcher(proxies.noProxy);
  const by = { kind: 'system', source: proxies.source } as const;
  const routesTo = (text: string | undefined): readonly Route[] => {
    if (text === undefined) return DIRECT;
    // The settings of the system were made by the user, and are trusted as such.
    return [{ via: 'proxies', hops: [parseProxyUrl(text, 'user')] }];
  };
  return ({ kind, target }) => {
    const entry = exception(target);
    if (entry !== undefined) return { routes: DIRECT, by: { kind: 'no-proxy', entry } };
    try {
      return { routes: routesTo(kind === 'tunnel' ? proxies.https : proxies.http), by };
    } catch (error) {
      // To go direct past a proxy that should be used would be worse than to refuse the request.
      const why = error instanceof Error ? error.message : String(error);
      notices.failure(why, `${proxies.source} names a proxy that cannot be used: ${why}`);
      throw new ProxyError('no_route', `${proxies.source}: ${why}`, { cause: error });
    }
  };
}
