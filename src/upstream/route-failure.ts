import {
  FAILURES,
  hasResponded,
  isProxyFault,
  isUnreached,
  isWithoutResponse,
  ProxyError,
} from '../contracts/failure.ts';
import type { Route } from '../contracts/stages.ts';
import { nameOf, type ProxyHealth } from './health/proxy-health.ts';

/** In place of messages that speak of the destination. */
const NOT_REACHED = 'The upstream proxy could not be reached.';
const NONE_REACHED = 'No upstream proxy could be reached.';
const isRouteUnreached = ({ route, failure }: FailedRoute): boolean =>
  route.via === 'proxies' && isUnreached(failure.code);

/** A route that was tried, and why it failed. */
export interface FailedRoute {
  readonly route: Route;
  readonly failure: ProxyError;
}

/** The failure of the route that was tried first; its detail names the others. */
export function failureOfAll(all: readonly FailedRoute[]): ProxyError {
  const named = all.map(({ route, failure }) => ({ label: routeLabel(route), failure }));
  const [first] = all;
  const code = first?.failure.code ?? 'no_route';
  const detail = named.map(({ label, failure }) => `${label}: [${failure.code}] ${failure.detail}`).join('; ');
  const clientDetail = `Every route was tried: ${named.map(({ label, failure }) => `${label} (${failure.code})`).join(', ')}.`;
  const onlyFirst = first !== undefined && isRouteUnreached(first) ? NOT_REACHED : undefined;
  const clientMessage = all.every(isRouteUnreached) ? NONE_REACHED : onlyFirst;
  return new ProxyError(code, detail, {
    cause: first?.failure,
    clientDetail,
    ...(clientMessage && { clientMessage }),
  });
}

/** What a failure says about the proxy. */
export function reportFailure(route: Route, { code }: ProxyError, generation: number, health: ProxyHealth): void {
  if (route.via === 'direct') return;
  // The proxy may be down, or close at this one request, or its target may: a probe finds out.
  if (isWithoutResponse(code)) void health.examine(route.hops);
  else if (isProxyFault(code)) health.failed(route.hops, code, generation);
  // It has responded, so it is up.
  else if (hasResponded(code)) health.responded(route.hops);
}

export const routeLabel = (route: Route): string => (route.via === 'direct' ? 'direct' : nameOf(route.hops));

/** A failure of a proxy names the proxy: the message of its code speaks of the destination. */
export function nameProxy(route: Route, failure: ProxyError): ProxyError {
  const { code, detail, clientDetail, headers } = failure;
  if (route.via === 'direct' || clientDetail !== undefined || FAILURES[code].retry === 'never') return failure;
  const proxy = nameOf(route.hops);
  const message = isRouteUnreached({ route, failure }) ? { clientMessage: NOT_REACHED } : {};
  return new ProxyError(code, `${proxy}: ${detail}`, {
    cause: failure,
    clientDetail: `The route led through ${proxy}.`,
    headers,
    ...message,
  });
}
