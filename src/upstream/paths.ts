import type { Dialer, DialScope, Reach } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, Hop, HopScheme, Route } from '../core/stages.ts';
import type { DirectDialer } from './direct.ts';

/** A connection on which a plain request can be written, and who reads it: that decides the form of its target. */
export interface Approach {
  readonly connection: Connection;
  readonly reader: 'origin' | 'proxy';
}

/** One route, once: what a connector and an exchange try when a route's turn has come. */
export class Paths {
  readonly #direct: DirectDialer;
  readonly #dialers: ReadonlyMap<HopScheme, Dialer>;

  constructor(direct: DirectDialer, dialers: readonly Dialer[]) {
    this.#direct = direct;
    this.#dialers = new Map(dialers.flatMap((dialer) => dialer.schemes.map((scheme) => [scheme, dialer] as const)));
  }

  /** A tunnel to `to`. */
  tunnel(route: Route, to: Authority, within: DialScope): Promise<Connection> {
    return route.via === 'direct' ? this.#direct.dial(to, within) : this.#through(route.hops, to, within);
  }

  /** To the origin, or to the last proxy when that speaks HTTP itself (RFC 9112 §3.2.2: then in absolute-form). */
  async approach(route: Route, to: Authority, within: DialScope): Promise<Approach> {
    const last = route.via === 'direct' ? undefined : route.hops.at(-1);
    if (route.via === 'proxies' && (last?.scheme === 'http' || last?.scheme === 'https')) {
      return { connection: await this.#reach(route.hops, within), reader: 'proxy' };
    }
    return { connection: await this.tunnel(route, to, within), reader: 'origin' };
  }

  /** Through all hops to `to`. */
  #through(hops: readonly Hop[], to: Authority, within: DialScope): Promise<Connection> {
    const last = hops.at(-1);
    if (last === undefined) return this.#direct.dial(to, within);
    const dialer = this.#dialers.get(last.scheme);
    if (dialer === undefined) throw new ProxyError('no_route', `this proxy cannot go by ${last.scheme}`);
    const reach: Reach = () => this.#reach(hops, within);
    return dialer.dial(last, to, within, reach);
  }

  /** To the proxy of the last hop. */
  #reach(hops: readonly Hop[], within: DialScope): Promise<Connection> {
    const last = hops.at(-1);
    const before = hops.slice(0, -1);
    if (last === undefined) throw new ProxyError('no_route', 'a chain without a hop');
    return before.length === 0
      ? this.#direct.dial(last.proxy, within, last.namedBy)
      : this.#through(before, last.proxy, within);
  }
}
