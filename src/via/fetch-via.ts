import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Agent, fetch, type RequestInfo, type RequestInit, type Response } from 'undici';
import { connectVia, type ProxyUrl, type ViaOptions } from './connect-via.ts';

/** `fetch` as the web knows it, through one proxy. Disposing it closes the connections that it keeps alive. */
export interface ViaFetch extends AsyncDisposable {
  (input: RequestInfo, init?: RequestInit): Promise<Response>;
}

/** Every request goes through a tunnel, http as well as https, so that the proxy sees no more than the host. */
export function fetchVia(proxy: ProxyUrl, options: ViaOptions = {}): ViaFetch {
  const agent = new Agent({
    connect(to, done) {
      const isTls = to.protocol === 'https:';
      const host = to.hostname.replace(/^\[(.*)\]$/, '$1');
      connectVia(proxy, { host, port: Number(to.port || (isTls ? 443 : 80)) }, options)
        .then((tunnel): Promise<Duplex> => (isTls ? secured(tunnel, to.servername ?? host) : Promise.resolve(tunnel)))
        .then(
          (socket) => Reflect.apply(done, undefined, [null, socket]),
          (error) => done(error, null),
        );
    },
  });
  const fetchThrough = (input: RequestInfo, init?: RequestInit) => fetch(input, { ...init, dispatcher: agent });
  return Object.assign(fetchThrough, { [Symbol.asyncDispose]: () => agent.close() });
}

function secured(socket: Duplex, host: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const name = isIP(host) === 0 ? { servername: host } : {};
    const tls = connectTls({ socket, ...name, ALPNProtocols: ['http/1.1'] });
    tls.once('error', reject);
    tls.once('secureConnect', () => {
      tls.off('error', reject);
      resolve(tls);
    });
  });
}
