import type { AgentOptions, ClientRequestArgs, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Authority } from '../contracts/request.ts';
import type { RouteChoice } from '../routing/hook.ts';
import { nodeHttp } from '../util/node-http.ts';
import { openTls } from './open-tls.ts';
import { createProxyTunnel, type ProxyTunnel, type ViaHttpOptions } from './proxy-tunnel.ts';

/** Agents for `node:http` and `node:https`, and for every library that takes them, for example axios. */
export interface ViaAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
}

/**
 * `route` is `direct`, a proxy, or a list of proxies, which is a chain, no alternatives. The connections of `httpsAgent`
 * are tunnels; the requests of `httpAgent` are sent to the last proxy in absolute-form (RFC 9112 §3.2.2), with the
 * target's `Host`, unless `tunnel: 'all'` is asked for. Connections are kept alive and reused: `destroy()` both agents at
 * the end. Throws ProxyError `no_route` when `route` names no route.
 */
export function agentsVia(route: RouteChoice, options: ViaHttpOptions & AgentOptions = {}): ViaAgents {
  const tunnel = createProxyTunnel(route, options);
  return { httpAgent: new ViaHttpAgent(tunnel, options), httpsAgent: new TunnelHttpsAgent(tunnel, options) };
}

type Done = (error: Error | null, socket: Duplex) => void;

class ViaHttpAgent extends nodeHttp().Agent {
  readonly #tunnel: ProxyTunnel;
  readonly #tunnelled: ViaHttpOptions['tunnel'];

  constructor(proxyTunnel: ProxyTunnel, { tunnel, ...options }: ViaHttpOptions & AgentOptions) {
    super({ keepAlive: true, ...options });
    this.#tunnel = proxyTunnel;
    this.#tunnelled = tunnel;
  }

  override createConnection(to: ClientRequestArgs, done?: Done): undefined {
    settle(this.#open(to), done);
  }

  async #open(to: ClientRequestArgs): Promise<Duplex> {
    const target = authorityOf(to, 80);
    const plain = this.#tunnelled === 'all' ? undefined : this.#tunnel.plain(target);
    if (plain !== undefined) return plain;
    using limit = this.#tunnel.connectDeadline();
    return await this.#tunnel.open(target, limit.signal);
  }
}

class TunnelHttpsAgent extends HttpsAgent {
  readonly #proxyTunnel: ProxyTunnel;

  constructor(proxyTunnel: ProxyTunnel, { targetTls, ...options }: ViaHttpOptions & AgentOptions) {
    super({ keepAlive: true, ...targetTls, ...options });
    this.#proxyTunnel = proxyTunnel;
  }

  override createConnection(to: ClientRequestArgs, done?: Done): undefined {
    settle(this.#open(to), done);
  }

  async #open(to: ClientRequestArgs): Promise<Duplex> {
    using limit = this.#proxyTunnel.connectDeadline();
    const target = authorityOf(to, 443);
    const tunnel = await this.#proxyTunnel.open(target, limit.signal);
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
