import type { Duplex } from 'node:stream';
import { Agent, fetch, type RequestInfo, type RequestInit, type Response } from 'undici';
import type { RouteChoice } from '../routing/hook.ts';
import { openTls } from './open-tls.ts';
import { type ViaOptions, wayOf } from './way.ts';

/** `fetch` as the web knows it, along one route. Disposing it closes the connections that it keeps alive. */
export interface ViaFetch extends AsyncDisposable {
  (input: RequestInfo, init?: RequestInit): Promise<Response>;
}

/**
 * Every request goes through a tunnel, http as well as https, so that the proxies see no more than the host. `route` is
 * `direct`, a proxy, or a list of proxies, which is a chain, no alternatives. Throws ProxyError `no_route` when it names
 * no way.
 */
export function fetchVia(route: RouteChoice, options: ViaOptions = {}): ViaFetch {
  const way = wayOf(route, options);
  const open = async (protocol: string, host: string, port: number, name: string): Promise<Duplex> => {
    using limit = way.patience();
    const tunnel = await way.open({ host, port }, limit.signal);
    return protocol === 'https:' ? await openTls(tunnel, name, { ALPNProtocols: ['http/1.1'] }, limit.signal) : tunnel;
  };
  const agent = new Agent({
    connect(to, done) {
      const host = to.hostname.replace(/^\[(.*)\]$/, '$1');
      const port = Number(to.port || (to.protocol === 'https:' ? 443 : 80));
      open(to.protocol, host, port, to.servername ?? host).then(
        (socket) => Reflect.apply(done, undefined, [null, socket]),
        (error) => done(error, null),
      );
    },
  });
  const fetchThrough = (input: RequestInfo, init?: RequestInit) => fetch(input, { ...init, dispatcher: agent });
  return Object.assign(fetchThrough, { [Symbol.asyncDispose]: () => agent.close() });
}
