import type { Clock } from '../core/clock.ts';
import type { Observe, Router } from '../core/contracts.ts';
import { asProxyError, ProxyError } from '../core/failure.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Admitted, PacRouting, Route, Routing } from '../core/stages.ts';
import { noProxyMatcher } from '../protocol/no-proxy.ts';
import { parsePacResult } from '../protocol/pac-result.ts';
import { parseProxyUrl } from '../protocol/proxy-url.ts';
import type { PacEngine } from './engine.ts';
import { LastAnswers } from './last-answers.ts';
import { PacNotices } from './notices.ts';
import type { PacScript, PacSource, SystemProxies } from './script.ts';
import { scriptUrlOf } from './script-url.ts';

const DIRECT: readonly Route[] = [{ via: 'direct' }];
const NOTHING_SET: Routing = { routes: [], by: { kind: 'default' } };

export interface PacRouterOptions {
  /** Read at every request: a reload may follow another one. */
  readonly source: Pick<PacSource, 'state'>;
  readonly engine: PacEngine;
  readonly clock: Clock;
  readonly observe: Observe;
  /** Which calls of helpers a routing lists. Default: those that ask the network, and alerts; all cost much more. */
  readonly trace?: ((from: Admitted) => 'calls' | 'lookups') | undefined;
}

/**
 * Asks the PAC, about `localhost` too: browsers go there without asking, and whoever asks a proxy for it has not done
 * so by chance. A routing without routes is no answer, and `by` says why: `pac` with an age is a script that failed and
 * has never answered for this host, `pac` without one a script that is not there, and anything else means that none is
 * set. Whoever asked decides what then.
 */
export function pacRouter(options: PacRouterOptions): Router {
  const { source, clock } = options;
  const notices = new PacNotices(clock, options.observe);
  const answers = new LastAnswers();
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
          notices.trouble(state.trouble, `the PAC from ${state.source} cannot be used: ${state.trouble}`);
          return { routes: [], by: missing(state.source, state.trouble) };
        case 'script':
          return ask(from, state.script, options, { notices, answers });
      }
    },
  };
}

async function ask(
  from: Admitted,
  script: PacScript,
  { engine, clock, trace }: PacRouterOptions,
  { notices, answers }: { readonly notices: PacNotices; readonly answers: LastAnswers },
): Promise<Routing> {
  const { signal } = from.request;
  const { url, host } = scriptUrlOf(from.request);
  const given = await engine.evaluate(script, { url, host, signal, trace: trace?.(from) ?? 'lookups' });
  if (signal.aborted) throw asProxyError(signal.reason);
  const { calls, ms } = given;
  for (const { helper, args } of calls) if (helper === 'alert') notices.alert(String(args[0]));
  const by = { kind: 'pac', source: script.source, ageMs: clock.now() - script.readMs, calls, ms } as const;
  if (given.ok) {
    const routes = parsePacResult(given.answer, script.namedBy);
    answers.keep(script.source, host, routes);
    return { routes, by: { ...by, answer: given.answer, trouble: undefined } };
  }
  const last = answers.last(script.source, host);
  const instead = last === undefined ? '' : '; its last answer for this host is used';
  const what = `the PAC from ${script.source} did not decide about ${host}: ${given.trouble}${instead}`;
  notices.trouble(given.trouble, what);
  return { routes: last ?? [], by: { ...by, answer: undefined, trouble: given.trouble } };
}

const missing = (source: string, trouble: string): PacRouting => ({
  kind: 'pac',
  source,
  ageMs: undefined,
  answer: undefined,
  trouble,
  calls: [],
  ms: 0,
});

/** Tunnels go where the system sends `https:`, plain requests where it sends `http:`. */
function systemRouter(proxies: SystemProxies, notices: PacNotices): (request: ProxyRequest) => Routing {
  const exception = noProxyMatcher(proxies.noProxy);
  const by = { kind: 'system', source: proxies.source } as const;
  const routesTo = (text: string | undefined): readonly Route[] => {
    if (text === undefined) return DIRECT;
    // The settings of the system are the user's own.
    return [{ via: 'proxies', hops: [parseProxyUrl(text, 'user')] }];
  };
  return ({ kind, target }) => {
    const entry = exception(target);
    if (entry !== undefined) return { routes: DIRECT, by: { kind: 'no-proxy', entry } };
    try {
      return { routes: routesTo(kind === 'tunnel' ? proxies.https : proxies.http), by };
    } catch (error) {
      // To go past a proxy that should be used would be worse than to say that it cannot be.
      const why = error instanceof Error ? error.message : String(error);
      notices.trouble(why, `${proxies.source} names a proxy that cannot be used: ${why}`);
      throw new ProxyError('no_route', `${proxies.source}: ${why}`, { cause: error });
    }
  };
}
