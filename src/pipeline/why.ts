import { asProxyError, type FailureCode } from '../contracts/failure.ts';
import type { Challenge } from '../contracts/identity.ts';
import type { ProxyRequest } from '../contracts/request.ts';
import type { RouteMode } from '../contracts/routing.ts';
import type { Decision, Hop, IdentifiedRequest, Permit, Principal, Route, RouteSource } from '../contracts/stages.ts';
import type { UpstreamAccountSummary } from '../contracts/upstream-account.ts';
import { isBlockedRoute } from '../protocol/routes/pac-result.ts';
import { type DeniedTarget, deniedTarget } from './literal-target.ts';
import { guardFor, type Services } from './services.ts';

/** The client that would send the request. */
export interface Caller {
  /** Name of a user whose password is taken for right; `undefined` for a client without credentials. */
  readonly user: string | undefined;
}

/** What would be decided about a request, and why: the steps of the request without sending anything but DNS queries. */
export interface WhyReport {
  readonly target: ProxyRequest['target'];
  readonly kind: ProxyRequest['kind'];
  readonly client: string;
  /** URL of the listener that the client would use. */
  readonly listener: string;
  readonly identity:
    | { readonly at: 'known'; readonly principal: Principal }
    | { readonly at: 'asked'; readonly challenge: string }
    | { readonly at: 'refused'; readonly why: string };
  readonly decision: Decision;
  readonly limits: readonly string[];
  /** Set by `viaduct mode`; absent: routes are as configured. */
  readonly mode?: { readonly mode: RouteMode; readonly until?: string };
  readonly routing:
    | {
        readonly at: 'found';
        readonly by: RouteSource;
        /** A literal address that is not requested of any upstream proxy. */
        readonly denied?: DeniedTarget;
        readonly routes: readonly RouteReport[];
      }
    | { readonly at: 'failed'; readonly code: FailureCode; readonly why: string };
}

/** One route, with what this machine would dial for it. */
export interface RouteReport {
  readonly route: Route;
  /** How much longer its first proxy is down; `undefined`: it is in service. */
  readonly downMs: number | undefined;
  /** What its proxies that speak HTTP would be sent about us, if they asked. */
  readonly accounts: readonly { readonly hop: Hop; readonly account: UpstreamAccountSummary }[];
  readonly addresses:
    | { readonly at: 'found'; readonly judged: readonly { readonly address: string; readonly decision: Decision }[] }
    | { readonly at: 'failed'; readonly why: string }
    /** Its proxy has port 0: nothing is sent there. */
    | { readonly at: 'nowhere' };
}

const NO_PERMIT: Permit = { limits: [], [Symbol.dispose]() {} };

export async function why(request: ProxyRequest, caller: Caller, services: Services): Promise<WhyReport> {
  const { target, kind, client } = request;
  const identity = await identityReport(request, caller, services);
  const principal: Principal =
    identity.at === 'known' ? identity.principal : { name: caller.user ?? '', scheme: caller.user ? 'basic' : 'none' };
  const identified: IdentifiedRequest = { request, principal };
  const decision = await services.policy.decide(identified);
  return {
    target,
    kind,
    client: client.address,
    listener: client.listener,
    identity,
    decision,
    limits: services.limiter.namesFor(identified),
    ...modeReport(services),
    routing: await routingReport(identified, decision, services),
  };
}

function modeReport(services: Services): Pick<WhyReport, 'mode'> {
  const { mode, untilMs } = services.mode();
  if (mode === 'configured') return {};
  return { mode: { mode, ...(untilMs !== undefined && { until: new Date(untilMs).toISOString() }) } };
}

async function identityReport(
  request: ProxyRequest,
  { user }: Caller,
  services: Services,
): Promise<WhyReport['identity']> {
  try {
    const found = await services.authenticator.identify({ request });
    if (!isChallenge(found)) return { at: 'known', principal: found };
    if (user !== undefined) return { at: 'known', principal: { name: user, scheme: 'basic' } };
    return { at: 'asked', challenge: found.challenge };
  } catch (error) {
    return { at: 'refused', why: asProxyError(error).detail };
  }
}

const isChallenge = (found: Principal | Challenge): found is Challenge => 'challenge' in found;

async function routingReport(
  identified: IdentifiedRequest,
  { rule }: Decision,
  services: Services,
): Promise<WhyReport['routing']> {
  try {
    const admitted = { ...identified, decision: { verdict: 'allow', rule }, permit: NO_PERMIT } as const;
    const { routes, by } = await services.router.route(admitted);
    const open = routes.filter((route) => !isBlockedRoute(route));
    const denied = deniedTarget(identified.request.target, open, guardFor(identified.request.client, services));
    const reports = await Promise.all(routes.map((route) => routeReport(route, identified.request, services)));
    return { at: 'found', by, ...(denied && { denied }), routes: reports };
  } catch (error) {
    const { code, detail } = asProxyError(error);
    return { at: 'failed', code, why: detail };
  }
}

async function routeReport(
  route: Route,
  { target, signal, client }: ProxyRequest,
  services: Services,
): Promise<RouteReport> {
  if (isBlockedRoute(route)) return { route, downMs: undefined, accounts: [], addresses: { at: 'nowhere' } };
  const hop = route.via === 'direct' ? undefined : route.hops[0];
  const untilMs = route.via === 'direct' ? undefined : services.health.downUntilMs(route.hops);
  const { host, port } = hop?.proxy ?? target;
  const guard = guardFor(client, services);
  const judge = (address: string) =>
    hop?.namedBy === 'user' ? guard.checkConfigured(address, port) : guard.check(address, port);
  const downMs = untilMs && untilMs - services.clock.now();
  const asking = route.via === 'direct' ? [] : route.hops.filter(({ scheme }) => scheme.startsWith('http'));
  const accounts = await Promise.all(
    asking.map(async (hop) => ({ hop, account: await services.accounts.summaryAt(hop) })),
  );
  try {
    const addresses = await services.resolver.resolve(host, signal, client.address);
    const judged = addresses.map((address) => ({ address, decision: judge(address) }));
    return { route, downMs, accounts, addresses: { at: 'found', judged } };
  } catch (error) {
    return { route, downMs, accounts, addresses: { at: 'failed', why: asProxyError(error).detail } };
  }
}
