import type { Clock } from '../core/clock.ts';
import type { DialScope } from '../core/contracts.ts';
import { decided } from '../core/deadline.ts';
import { ProxyError } from '../core/failure.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Admitted, Connected, Identified, Received, Routed, RoutedBy } from '../core/stages.ts';
import type { StopSignal } from '../core/stop.ts';
import { hasBeenHere, viaList } from '../protocol/via.ts';
import type { Account } from './account.ts';
import type { Rooms } from './rooms.ts';

/** Who is asking. */
export async function identify<R extends ProxyRequest>(
  received: Received<R>,
  rooms: Rooms,
  account: Account,
): Promise<Identified<R>> {
  account.enter('identify');
  const answer = await inTime(rooms.authenticator.identify(received), received.request.signal, rooms.clock);
  if ('challenge' in answer) {
    throw new ProxyError('credentials_required', answer.reason ?? 'no credentials', {
      fields: [['Proxy-Authenticate', answer.challenge]],
    });
  }
  account.principal = answer;
  return { ...received, principal: answer };
}

/** May they go there, and is there room: first the rules, then the limits. */
export async function admit<R extends ProxyRequest>(
  identified: Identified<R>,
  rooms: Rooms,
  account: Account,
): Promise<Admitted<R>> {
  const { request } = identified;
  account.enter('admit');
  const decision = await inTime(rooms.policy.decide(identified), request.signal, rooms.clock);
  account.decision = decision;
  rooms.observe({ type: 'decided', id: request.id, decision });
  if (decision.verdict === 'deny') {
    throw new ProxyError(decision.code, `rule ${decision.rule}`, { told: `The rule is called "${decision.rule}".` });
  }
  if (hasBeenHere(request.headers, rooms.identity.pseudonym)) throw new ProxyError('loop', 'our own Via came back');
  const permit = await rooms.limiter.acquire(identified);
  account.permit = permit;
  return { ...identified, decision, permit };
}

/** By which way. */
export async function route<R extends ProxyRequest>(
  admitted: Admitted<R>,
  rooms: Rooms,
  account: Account,
): Promise<Routed<R>> {
  account.enter('route');
  const { routes, by } = await inTime(rooms.router.route(admitted), admitted.request.signal, rooms.clock);
  const [best, ...others] = routes;
  if (best === undefined) throw noRoute(by, admitted.request.target.host);
  rooms.observe({ type: 'routed', id: admitted.request.id, routes, by });
  return { ...admitted, routes: [best, ...others] };
}

function noRoute(by: RoutedBy, host: string): ProxyError {
  if (by.kind !== 'pac') return new ProxyError('no_route', `nothing leads to ${host}`);
  const why = `the PAC ${by.source} decides, and cannot be read: ${by.trouble ?? 'it gave no answer'}`;
  return new ProxyError('no_route', `${why}; with routes.pacUnreachable: direct such requests go direct`, {
    told: 'The PAC file that decides cannot be read at the moment; the log of this proxy says why.',
  });
}

/** Opens the way. */
export async function connect<R extends ProxyRequest>(
  routed: Routed<R>,
  rooms: Rooms,
  account: Account,
): Promise<Connected<R>> {
  const { request, routes } = routed;
  account.enter('dial');
  const connected = await rooms.connector.connect(routes, request.target, dialScope(request, rooms));
  account.route = connected.route;
  account.address = connected.upstream.address;
  return { ...routed, ...connected };
}

export const dialScope = (request: ProxyRequest, { guard, observe, tap, identity }: Rooms): DialScope => ({
  id: request.id,
  signal: request.signal,
  guard,
  observe,
  tap,
  via: viaList(request.headers, request.version, identity.pseudonym),
});

/** Most decisions are there at once, and cost no timer. */
const inTime = <T>(answer: T | Promise<T>, signal: StopSignal, clock: Clock): T | Promise<T> =>
  answer instanceof Promise ? decided(answer, signal, clock) : answer;
