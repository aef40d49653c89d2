import { type AgentOptions, type ClientRequestArgs, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Authority } from '../core/request.ts';
import type { RouteChoice } from '../routing/hook.ts';
import { openTls } from './open-tls.ts';
import { type ViaOptions, type Way, wayOf } from './way.ts';

/** Agents for `node:http` and `node:https`, and for all that takes them, axios for one. */
export interface ViaAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
}

/**
 * Every connection is a tunnel along the route: `direct`, a proxy, or a list of proxies, which is a chain, no
 * alternatives. They are kept alive and reused: `destroy()` both agents at the end. Throws ProxyError `no_route` when
 * `route` names no way.
 */
export function agentsVia(route: RouteChoice, options: ViaOptions & AgentOptions = {}): ViaAgents {
  const way = wayOf(route, options);
  return { httpAgent: new TunnelHttpAgent(way, options), httpsAgent: new TunnelHttpsAgent(way, options) };
}

type Done = (error: Error | null, socket: Duplex) => void;

class TunnelHttpAgent extends HttpAgent {
  readonly #way: Way;

  constructor(way: Way, options: AgentOptions) {
    super({ keepAlive: true, ...options });
    this.#way = way;
  }

  override createConnection(to: ClientRequestArgs, done?: Done): undefined {
    settle(this.#open(to), done);
  }

  async #open(to: ClientRequestArgs): Promise<Duplex> {
    using limit = this.#way.patience();
    return await this.#way.open(authorityOf(to, 80), limit.signal);
  }
}

class TunnelHttpsAgent extends HttpsAgent {
  readonly #way: Way;

  constructor(way: Way, options: AgentOptions) {
    super({ keepAlive: true, ...options });
    this.#way = way;
  }

  override createConnection(to: ClientRequestArgs, done?: Done): undefined {
    settle(this.#open(to), done);
  }

  async #open(to: ClientRequestArgs): Promise<Duplex> {
    using limit = this.#way.patience();
    const target = authorityOf(to, 443);
    const tunnel = await this.#way.open(target, limit.signal);
    return await openTls(tunnel, target.host, to, limit.signal);
  }
}

function settle(opening: Promise<Duplex>, done: Done | undefined): void {
  opening.then(
    (socket) => done?.(null, socket),
    // Node reads the error first; its type asks for a socket all the same.
    (error) => Reflect.apply(done ?? (() => undefined), undefined, [error]),
  );
}

const authorityOf = ({ host, port }: ClientRequestArgs, defaultPort: number): Authority => ({
  host: host ?? 'localhost',
  port: Number(port ?? defaultPort),
});
