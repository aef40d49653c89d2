import { type AgentOptions, type ClientRequestArgs, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Authority } from '../core/request.ts';
import { connectVia, type ProxyUrl, patience, type ViaOptions } from './connect-via.ts';
import { openTls } from './open-tls.ts';

/** Agents for `node:http` and `node:https`, and for all that takes them, axios for one. */
export interface ViaAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
}

/** Every connection is a tunnel through the proxy. They are kept alive and reused: `destroy()` both agents at the end. */
export function agentsVia(proxy: ProxyUrl, options: ViaOptions & AgentOptions = {}): ViaAgents {
  return { httpAgent: new TunnelHttpAgent(proxy, options), httpsAgent: new TunnelHttpsAgent(proxy, options) };
}

type Done = (error: Error | null, socket: Duplex) => void;

class TunnelHttpAgent extends HttpAgent {
  readonly #open: (to: ClientRequestArgs) => Promise<Duplex>;

  constructor(proxy: ProxyUrl, options: ViaOptions & AgentOptions) {
    super({ keepAlive: true, ...options });
    this.#open = (to) => connectVia(proxy, authorityOf(to, 80), options);
  }

  override createConnection(to: ClientRequestArgs, done?: Done): undefined {
    settle(this.#open(to), done);
  }
}

class TunnelHttpsAgent extends HttpsAgent {
  readonly #open: (to: ClientRequestArgs) => Promise<Duplex>;

  constructor(proxy: ProxyUrl, options: ViaOptions & AgentOptions) {
    super({ keepAlive: true, ...options });
    this.#open = async (to) => {
      const target = authorityOf(to, 443);
      const signal = patience(options, String(proxy));
      const tunnel = await connectVia(proxy, target, { ...options, signal });
      return await openTls(tunnel, target.host, to, signal);
    };
  }

  override createConnection(to: ClientRequestArgs, done?: Done): undefined {
    settle(this.#open(to), done);
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
