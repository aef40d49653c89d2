import type { AddressGuard } from '../../contracts/policy.ts';
import type { Authority } from '../../contracts/request.ts';
import type { Connection, Hop, Hops, Route } from '../../contracts/stages.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import type { AuthSession } from '../../upstream-auth/auth-session.ts';
import type { ConnectionAuthState } from '../../upstream-auth/auth-state.ts';
import type { ProxyAuthContext } from '../../upstream-auth/upstream-auth.ts';

/** A connection on which one request is about to be written. Disposing it closes the connection and ends the session. */
export class UpstreamConnection implements Disposable {
  readonly route: Route;
  readonly connection: Connection;
  /** The proxy that reads the request, our account there, and the session that authenticates the request. */
  readonly upstreamProxy: UpstreamProxy | undefined;
  /** Of the pool, when the dial began. */
  readonly epoch: number;

  constructor(route: Route, connection: Connection, upstreamProxy: UpstreamProxy | undefined, epoch: number) {
    this.route = route;
    this.connection = connection;
    this.upstreamProxy = upstreamProxy;
    this.epoch = epoch;
  }

  [Symbol.dispose](): void {
    this.upstreamProxy?.session[Symbol.dispose]();
    this.connection[Symbol.dispose]();
  }
}
export interface UpstreamProxy {
  readonly hop: Hop;
  readonly authContext: ProxyAuthContext;
  readonly session: AuthSession;
}

const lastOf = (hops: Hops): Hop => hops.at(-1) ?? hops[0];

/** The proxy that reads requests for this route, as in RouteDialer.connectForRequest: the last one, if it speaks HTTP. */
export function readerOf(route: Route): Hop | undefined {
  if (route.via === 'direct') return undefined;
  const last = lastOf(route.hops);
  return last.scheme === 'http' || last.scheme === 'https' ? last : undefined;
}

/** A connection may have been opened under another configuration: its address is checked again. */
export function isStillAllowed({ address }: Connection, route: Route, target: Authority, guard: AddressGuard): boolean {
  if (address === undefined) return false;
  const hop = route.via === 'direct' ? undefined : route.hops[0];
  const { port } = hop?.proxy ?? target;
  const { verdict } = hop?.namedBy === 'user' ? guard.checkConfigured(address, port) : guard.check(address, port);
  return verdict === 'allow';
}

/**
 * What makes two idle connections interchangeable. A proxy that reads requests takes those for any target, of the one
 * account that it knows us by: an `authenticated` connection belongs to it for as long as it is open.
 */
export function poolKey(
  route: Route,
  target: Authority,
  authContext: ProxyAuthContext | undefined,
  connectionState: ConnectionAuthState,
): string {
  if (route.via === 'direct') return `${formatAuthority(target)}${termsKey(route)}`;
  const hops = `${route.hops.map(hopKey).join(' > ')}${termsKey(route)}`;
  return authContext === undefined
    ? `${hops} > ${formatAuthority(target)}`
    : `${hops} ${authContext.id} ${connectionState}`;
}

const hopKey = (hop: Hop): string =>
  `${formatHop(hop)} ${hop.login?.user ?? ''}${hop.tls === undefined ? '' : ` ${hop.tls.id}`}`;

/** Connections from other addresses, or to other ones, are others. */
function termsKey({ terms }: Route): string {
  if (terms === undefined) return '';
  const { from, family } = terms;
  return ` from ${from?.join() ?? ''} ${family ?? ''}`;
}

/** Whether a connection of this route may serve more than one request. A program's resolver may answer otherwise the next time. */
export const isReusable = ({ terms }: Route): boolean => terms?.keepAlive !== false && terms?.lookup === undefined;
