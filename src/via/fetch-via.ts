import type { Duplex } from 'node:stream';
import { Agent, fetch, type RequestInfo, type RequestInit, type Response } from 'undici';
import { connectVia, type ProxyUrl, patience, type ViaOptions } from './connect-via.ts';
import { openTls } from './open-tls.ts';

/** `fetch` as the web knows it, through one proxy. Disposing it closes the connections that it keeps alive. */
export interface ViaFetch extends AsyncDisposable {
  (input: RequestInfo, init?: RequestInit): Promise<Response>;
}

/** Every request goes through a tunnel, http as well as https, so that the proxy sees no more than the host. */
export function fetchVia(proxy: ProxyUrl, options: ViaOptions = {}): ViaFetch {
  const open = async (protocol: string, host: string, port: number, name: string): Promise<Duplex> => {
    const signal = patience(options, String(proxy));
    const tunnel = await connectVia(proxy, { host, port }, { ...options, signal });
    return protocol === 'https:' ? await openTls(tunnel, name, { ALPNProtocols: ['http/1.1'] }, signal) : tunnel;
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
