import type { Dialer, DialScope, Reach } from '../core/contracts.ts';
import { asProxyError, ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, Hop, HopScheme, Route } from '../core/stages.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import type { DirectDialer } from './direct.ts';
import type { SecureHop } from './tls.ts';

/** A connection on which a plain request can be written, and who reads it: that decides the form of its target. */
export interface Approach {
  readonly connection: Connection;
  readonly reader: 'origin' | 'proxy';
}

/** One route, once: what a connector and an exchange try when a route's turn has come. */
export class Paths {
  readonly #direct: DirectDialer;
  readonly #dialers: ReadonlyMap<HopScheme, Dialer>;
  readonly #secure: SecureHop | undefined;

  /** Without `secure` no `https:` proxy can be reached. */
  constructor(direct: DirectDialer, dialers: readonly Dialer[], secure?: SecureHop) {
    this.#direct = direct;
    this.#dialers = new Map(dialers.flatMap((dialer) => dialer.schemes.map((scheme) => [scheme, dialer] as const)));
    this.#secure = secure;
  }

  /** A tunnel to `to`. */
  tunnel(route: Route, to: Authority, within: DialScope): Promise<Connection> {
    return route.via === 'direct' ? this.#direct.dial(to, within) : this.#through(route.hops, to, within);
  }

  /** To the origin, or to the last proxy when that speaks HTTP itself (RFC 9112 §3.2.2: then in absolute-form). */
  async approach(route: Route, to: Authority, within: DialScope): Promise<Approach> {
    const last = route.via === 'direct' ? undefined : route.hops.at(-1);
    if (route.via === 'proxies' && (last?.scheme === 'http' || last?.scheme === 'https')) {
      return { connection: await this.reach(route.hops, within), reader: 'proxy' };
    }
    return { connection: await this.tunnel(route, to, within), reader: 'origin' };
  }

  /** Through all hops to `to`. */
  async #through(hops: readonly Hop[], to: Authority, within: DialScope): Promise<Connection> {
    const last = lastOf(hops);
    const dialer = this.#dialers.get(last.scheme);
    if (dialer === undefined) throw new ProxyError('no_route', `this proxy cannot go by ${last.scheme}`);
    const reach: Reach = () => this.reach(hops, within);
    return await dialer.dial(last, to, within, reach);
  }

  /** To the proxy of the last hop, TLS included. */
  async reach(hops: readonly Hop[], within: DialScope): Promise<Connection> {
    const last = lastOf(hops);
    const before = hops.slice(0, -1);
    const connection =
      before.length === 0
        ? await this.#direct.dial(last.proxy, within, last.namedBy)
        : await this.#behind(before, last, within);
    if (last.scheme !== 'https') return connection;
    if (this.#secure !== undefined) return await this.#secure(connection, last, within);
    connection[Symbol.dispose]();
    throw new ProxyError('no_route', `this proxy cannot speak TLS with ${formatHop(last)}`);
  }

  /** To the proxy of `hop` through those before it. What is a target to them is a proxy to us. */
  async #behind(before: readonly Hop[], hop: Hop, within: DialScope): Promise<Connection> {
    try {
      return await this.#through(before, hop.proxy, judgedAs(hop, within));
    } catch (error) {
      const { code, detail } = asProxyError(error);
      if (code !== 'parent_failed' && code !== 'parent_refused') throw error;
      // Their answer is about a proxy that is part of this way: the way is closed, and another may be open.
      throw new ProxyError('connect_failed', `no way to ${formatHop(hop)}: ${detail}`, {
        cause: error,
        told: `${formatHop(hop)} could not be reached through ${formatHop(lastOf(before))}.`,
      });
    }
  }
}

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
