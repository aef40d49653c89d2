import type { Dialer, DialHop, DialScope, SecuredConnection, SecureHop, TlsUse } from '../../contracts/dialing.ts';
import { asProxyError, ProxyError } from '../../contracts/failure.ts';
import type { ResponseHead } from '../../contracts/message.ts';
import type { Authority } from '../../contracts/request.ts';
import type { Connection, Hop, HopScheme, Route } from '../../contracts/stages.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import type { UpstreamSessions } from '../http2/session-pool.ts';
import type { DirectDialer } from './direct.ts';
import { withStatedReason } from './stated-reason.ts';

/** A connection on which a plain request can be written; whether a proxy reads it decides the form of its target. */
export interface HttpPeer {
  readonly connection: Connection;
  readonly reader: 'origin' | 'proxy';
}

/** Dials one route, once: what a connector and an exchange try when a route's turn has come. */
export class RouteDialer {
  readonly #direct: DirectDialer;
  readonly #dialers: ReadonlyMap<HopScheme, Dialer>;
  readonly #secure: SecureHop | undefined;

  readonly #sessions: UpstreamSessions | undefined;

  /** Without `secure` no `https:` proxy can be reached, and without `sessions` no two tunnels share a connection. */
  constructor(direct: DirectDialer, dialers: readonly Dialer[], secure?: SecureHop, sessions?: UpstreamSessions) {
    this.#direct = direct;
    this.#sessions = sessions;
    this.#dialers = new Map(dialers.flatMap((dialer) => dialer.schemes.map((scheme) => [scheme, dialer] as const)));
    this.#secure = secure;
  }

  /** A tunnel to `to`. */
  tunnel(route: Route, to: Authority, within: DialScope, use: TlsUse = 'tunnel'): Promise<Connection> {
    const scope = scopeOf(route, within);
    if (route.via === 'direct') return this.#direct.dial(to, scope);
    // TLS with the target may follow on it, which needs a socket. What a hook wants of a connection is for its request alone.
    const isUsual = route.terms === undefined && route.hops[0].tls === undefined;
    const mayShare = use === 'tunnel' && route.hops.length === 1 && isUsual;
    return this.#dialThrough(route.hops, to, scope, use, mayShare ? this.#sessions : undefined);
  }

  /** To the origin, or to the last proxy when that speaks HTTP (RFC 9112 §3.2.2: the request is then in absolute-form). */
  async connectForRequest(route: Route, to: Authority, within: DialScope): Promise<HttpPeer> {
    const last = route.via === 'direct' ? undefined : route.hops.at(-1);
    if (route.via === 'proxies' && (last?.scheme === 'http' || last?.scheme === 'https')) {
      return { connection: await this.dialProxy(route.hops, scopeOf(route, within), 'messages'), reader: 'proxy' };
    }
    return { connection: await this.tunnel(route, to, within, 'messages'), reader: 'origin' };
  }

  /** Through all hops to `to`. */
  async #dialThrough(
    hops: readonly Hop[],
    to: Authority,
    within: DialScope,
    use: TlsUse,
    sessions?: UpstreamSessions,
  ): Promise<Connection> {
    const last = lastOf(hops);
    const dialer = this.#dialers.get(last.scheme);
    if (dialer === undefined)
      throw new ProxyError(
        'no_route',
        `this proxy has no dialer for ${last.scheme}; use http, https, socks4, socks4a or socks5`,
      );
    const dialProxy: DialHop = (share) =>
      share === undefined || sessions === undefined || last.scheme !== 'https'
        ? this.dialProxy(hops, within, use)
        : sessions.open(JSON.stringify([share, last.proxy, last.namedBy]), () => this.#secured(last, within));
    let refusal: ResponseHead | undefined;
    const refused = (head: ResponseHead) => {
      refusal = head;
    };
    try {
      return await dialer.dial(last, to, { ...within, onRefused: refused }, dialProxy);
    } catch (error) {
      throw withStatedReason(error, refusal);
    }
  }

  async #secured(hop: Hop, within: DialScope): Promise<SecuredConnection> {
    const connection = await this.#direct.dial(hop.proxy, within, hop.namedBy);
    return await this.#startTls(connection, hop, within, 'streams');
  }

  async #startTls(connection: Connection, hop: Hop, within: DialScope, use: TlsUse): Promise<SecuredConnection> {
    if (this.#secure === undefined) {
      connection[Symbol.dispose]();
      throw new ProxyError('no_route', `this proxy cannot speak TLS with ${formatHop(hop)}`);
    }
    const startedMs = within.clock.now();
    const secured = await this.#secure(connection, hop, within, use);
    const ms = within.clock.now() - startedMs;
    within.observe({ type: 'secured', id: within.id, proxy: formatHop(hop), speaks: secured.speaks, ms });
    return secured;
  }

  /** To the proxy of the last hop, TLS included. */
  async dialProxy(hops: readonly Hop[], within: DialScope, use: TlsUse = 'tunnel'): Promise<Connection> {
    const last = lastOf(hops);
    // Where TLS lies in TLS, the inner one knows whether its end was a verified one.
    const outer = last.scheme === 'https' ? 'tunnel' : use;
    const before = hops.slice(0, -1);
    const connection =
      before.length === 0
        ? await this.#direct.dial(last.proxy, within, last.namedBy)
        : await this.#dialProxyThrough(before, last, within, outer);
    return last.scheme === 'https' ? await this.#startTls(connection, last, within, use) : connection;
  }

  /** To the proxy of `hop` through those before it. What is a target to them is a proxy to us. */
  async #dialProxyThrough(before: readonly Hop[], hop: Hop, within: DialScope, use: TlsUse): Promise<Connection> {
    try {
      return await this.#dialThrough(before, hop.proxy, judgedAs(hop, within), use);
    } catch (error) {
      const { code, detail } = asProxyError(error);
      // SOCKS4 has one reply for both. Elsewhere a refusal is policy, which no other route may go past.
      const isRefusal = code === 'upstream_refused' && !lastOf(before).scheme.startsWith('socks4');
      if ((code !== 'upstream_failed' && code !== 'upstream_refused') || isRefusal) throw error;
      // The response is about a proxy that is part of this route: the route cannot be used, and another one may be.
      throw new ProxyError('connect_failed', `no connection to ${formatHop(hop)}: ${detail}`, {
        cause: error,
        clientDetail: `${formatHop(hop)} could not be reached through ${formatHop(lastOf(before))}.`,
      });
    }
  }
}

const scopeOf = ({ terms }: Route, within: DialScope): DialScope =>
  terms === undefined ? within : { ...within, terms };

function lastOf(hops: readonly Hop[]): Hop {
  const last = hops.at(-1);
  if (last === undefined) throw new ProxyError('no_route', 'a chain without a hop');
  return last;
}

/** A dialer that resolves the name of a proxy which the user named may find any address but our own. */
function judgedAs({ namedBy }: Hop, within: DialScope): DialScope {
  if (namedBy !== 'user') return within;
  const { guard } = within;
  const configured = (address: string, port: number) => guard.checkConfigured(address, port);
  return { ...within, guard: { check: configured, checkConfigured: configured } };
}
