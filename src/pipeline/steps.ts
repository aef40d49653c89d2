import { awaitDecision } from '../contracts/deadline.ts';
import type { DialScope } from '../contracts/dialing.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { HookName } from '../contracts/hook-failure.ts';
import type { Challenge, IdentifiableRequest } from '../contracts/identity.ts';
import type { ProxyRequest } from '../contracts/request.ts';
import type {
  AdmittedRequest,
  ConnectedRequest,
  IdentifiedRequest,
  Principal,
  ReceivedRequest,
  Route,
  RoutedRequest,
  RouteSource,
  Routing,
} from '../contracts/stages.ts';
import { receivedProtocol, viaIncludes, viaList } from '../protocol/http1/via.ts';
import { isBlockedRoute } from '../protocol/routes/pac-result.ts';
import { andThen, type MaybeAsync } from '../util/maybe-async.ts';
import type { StopSignal } from '../util/stop.ts';
import { deniedTarget } from './literal-target.ts';
import type { RecordBuilder } from './record-builder.ts';
import { guardFor, type Services } from './services.ts';

/** Which user sends the request. */
export function identify<R extends ProxyRequest>(
  received: ReceivedRequest<R>,
  services: Services,
  record: RecordBuilder,
): MaybeAsync<IdentifiedRequest<R>> {
  record.enter('identify');
  return andThen(userOf(received, services), (principal) => {
    record.principal = principal;
    return { ...received, principal };
  });
}

/** Which user it is, for a login that comes before the request, as in SOCKS5. Rejects with `client_auth_required`. */
export const identifyUser = async (from: IdentifiableRequest, services: Services): Promise<Principal> =>
  userOf(from, services);

const userOf = (from: IdentifiableRequest, services: Services): MaybeAsync<Principal> =>
  andThen(inTime(services.authenticator.identify(from), from.request, services, 'authenticate'), principalIn);

function principalIn(found: Principal | Challenge): Principal {
  if (!('challenge' in found)) return found;
  throw new ProxyError('client_auth_required', found.reason ?? 'no credentials', {
    headers: [found.challenge, ...(found.further ?? [])].map((challenge) => ['Proxy-Authenticate', challenge] as const),
    clientMessage: found.clientMessage,
  });
}

/** Whether the request is allowed, and whether a limit leaves it a place: first the rules, then the limits. */
export function admit<R extends ProxyRequest>(
  identified: IdentifiedRequest<R>,
  services: Services,
  record: RecordBuilder,
): MaybeAsync<AdmittedRequest<R>> {
  const { request } = identified;
  record.enter('admit');
  return andThen(inTime(services.policy.decide(identified), request, services, 'authorize'), (decision) => {
    record.decision = decision;
    services.observe({ type: 'decided', id: request.id, decision });
    if (decision.verdict === 'deny') {
      throw new ProxyError(decision.code, `rule ${decision.rule}`, {
        clientDetail: `The rule is called "${decision.rule}".`,
      });
    }
    if (viaIncludes(request.headers, services.identity.pseudonym))
      throw new ProxyError('loop_detected', 'the Via of this proxy came back');
    return andThen(services.limiter.acquire(identified, record), (permit) => {
      record.permit = permit;
      return { ...identified, decision, permit };
    });
  });
}

/** By which routes. */
export function route<R extends ProxyRequest>(
  admitted: AdmittedRequest<R>,
  services: Services,
  record: RecordBuilder,
): MaybeAsync<RoutedRequest<R>> {
  record.enter('route');
  const routing = inTime(services.router.route(admitted), admitted.request, services, 'route');
  return andThen(routing, (found) => allowedRoutes(found, admitted, services));
}

/** Those of the routes that may be tried. Throws when there is none. */
function allowedRoutes<R extends ProxyRequest>(
  { routes, by }: Routing,
  admitted: AdmittedRequest<R>,
  services: Services,
): RoutedRequest<R> {
  const { target } = admitted.request;
  const open = routes.some(isBlockedRoute) ? routes.filter((candidate) => !isBlockedRoute(candidate)) : routes;
  if (!isNotEmpty(open)) throw routes.length > 0 ? blocked(by, target.host) : noRoute(by, target.host);
  const denied = deniedTarget(target, open, guardFor(admitted.request.client, services));
  if (denied !== undefined) {
    const { address, decision } = denied;
    throw new ProxyError(decision.code, `${address} port ${target.port}: ${decision.rule}`);
  }
  services.observe({ type: 'routed', id: admitted.request.id, routes, by });
  return { ...admitted, routes: open, by };
}

const isNotEmpty = (routes: readonly Route[]): routes is readonly [Route, ...Route[]] => routes.length > 0;

/** What `PROXY 0.0.0.0:0` is in browsers: a proxy that refuses the connection. Nothing is sent, and nothing goes direct. */
const blocked = (by: RouteSource, host: string): ProxyError =>
  new ProxyError(
    'connection_refused',
    `${by.kind === 'pac' ? `the PAC ${by.source}` : 'a rule'} names port 0 for ${host}`,
    {
      clientMessage: 'The upstream proxy could not be reached.',
      clientDetail: 'The routes of this proxy name one with port 0 for this destination, which blocks it.',
    },
  );

function noRoute(by: RouteSource, host: string): ProxyError {
  if (by.kind !== 'pac') return new ProxyError('no_route', `nothing leads to ${host}`);
  if (by.ageMs !== undefined) {
    return new ProxyError(
      'no_route',
      `the PAC ${by.source} did not decide about ${host}: ${by.failure ?? 'no result'}`,
      {
        clientDetail:
          'The PAC file that decides has failed; the log of this proxy says why. viaduct why shows what it does.',
      },
    );
  }
  const why = `the PAC ${by.source} decides, and cannot be read: ${by.failure ?? 'it gave no result'}`;
  const clientDetail = 'The PAC file that decides cannot be read at the moment; the log of this proxy says why.';
  // Its server was reached: what it should have given may have named a proxy.
  if (by.failedAs === 'unusable') return new ProxyError('no_route', why, { clientDetail });
  const flag = '--direct-fallback (routes.unreachable: direct)';
  return new ProxyError('no_route', `${why}; with ${flag} such requests go direct`, {
    clientDetail: `${clientDetail} With ${flag} this proxy goes direct then.`,
  });
}

/** Opens a connection along the first route that works. */
export async function connect<R extends ProxyRequest>(
  routed: RoutedRequest<R>,
  services: Services,
  record: RecordBuilder,
): Promise<ConnectedRequest<R>> {
  const { request, routes } = routed;
  record.enter('connect');
  const { route, upstream } = await services.connector.connect(routes, request.target, dialScope(routed, services));
  record.route = route;
  record.address = upstream.address;
  return { ...routed, route, upstream };
}

/** The user, or the client's address where clients need no account; no address begins like the name of a user. */
export const ownerOf = ({ principal, request }: IdentifiedRequest): string =>
  principal.name === '' ? request.client.address : `user ${principal.name}`;

export const dialScope = (identified: IdentifiedRequest, services: Services): DialScope => {
  const { request } = identified;
  const { observe, tap, identity, clock } = services;
  return {
    clock,
    id: request.id,
    owner: ownerOf(identified),
    client: request.client.address,
    signal: request.signal,
    state: request.state,
    guard: guardFor(request.client, services),
    observe,
    tap,
    via: viaList(request.headers, receivedProtocol(request.protocol), identity.pseudonym),
  };
};

/** Most decisions are there at once, and cost no timer. `by`: the hook that a program may have put there. */
const inTime = <T>(
  decision: MaybeAsync<T>,
  { signal }: { readonly signal: StopSignal },
  { clock }: Services,
  by: HookName,
): MaybeAsync<T> => (decision instanceof Promise ? awaitDecision(decision, { signal, clock }, by) : decision);
