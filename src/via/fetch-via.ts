import type { Duplex } from 'node:stream';
import type { Agent, buildConnector, fetch, RequestInfo, RequestInit, Response } from 'undici';
import type { RouteChoice } from '../routing/hook.ts';
import { openTls } from './open-tls.ts';
import { createProxyTunnel, type ViaHttpOptions } from './proxy-tunnel.ts';

/** `fetch` as the web knows it, along one route. Disposing it closes the connections that it keeps alive. */
export interface ViaFetch extends AsyncDisposable {
  (input: RequestInfo, init?: RequestInit): Promise<Response>;
}

/**
 * An `https:` request goes through a tunnel; an `http:` request is sent to the last proxy in absolute-form (RFC 9112
 * §3.2.2), unless `tunnel: 'all'` is asked for: then what a proxy answers instead of the target is a response too, as a
 * 403 of its own. `route` is `direct`, a proxy, or a list of proxies, which is a chain, no alternatives. Throws
 * ProxyError `no_route` when it names no route.
 */
export function fetchVia(route: RouteChoice, options: ViaHttpOptions = {}): ViaFetch {
  const proxyTunnel = createProxyTunnel(route, options);
  const open = async (protocol: string, host: string, port: number, name: string): Promise<Duplex> => {
    const plain = protocol === 'http:' && options.tunnel !== 'all' ? proxyTunnel.plain({ host, port }) : undefined;
    if (plain !== undefined) return plain;
    using limit = proxyTunnel.connectDeadline();
    const tunnel = await proxyTunnel.open({ host, port }, limit.signal);
    if (protocol !== 'https:') return tunnel;
    return await openTls(tunnel, name, { ...options.targetTls, ALPNProtocols: ['http/1.1'] }, limit.signal);
  };
  const connect: buildConnector.connector = (to, done) => {
    const host = to.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = Number(to.port || (to.protocol === 'https:' ? 443 : 80));
    open(to.protocol, host, port, to.servername ?? host).then(
      (socket) => Reflect.apply(done, undefined, [null, socket]),
      (error) => done(error, null),
    );
  };
  let started: Promise<Client> | undefined;
  const fetchThrough = async (input: RequestInfo, init?: RequestInit) => {
    started ??= start(connect);
    const { agent, fetch } = await started;
    return await fetch(input, { ...init, dispatcher: agent });
  };
  return Object.assign(fetchThrough, { [Symbol.asyncDispose]: async () => (await started)?.agent.close() });
}

interface Client {
  readonly agent: Agent;
  readonly fetch: typeof fetch;
}

/** Loaded with the first request: it takes 30 ms and 20 MB, and most programs that import Viaduct use another client. */
async function start(connect: buildConnector.connector): Promise<Client> {
  const { Agent, fetch } = await import('undici');
  return { agent: new Agent({ connect }), fetch };
}
