import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import { type TlsSettings, tlsSettings } from '../../upstream/tls/trust.ts';
import { ExplainError } from './explain-error.ts';
import { distrustOf } from './inside-tls.ts';
import { socketMeaning } from './meaning.ts';
import type { Trace } from './trace.ts';

export interface ProxyConnectionOptions {
  readonly proxy: URL;
  /** How to verify an `https:` proxy. Default: by what this machine trusts. */
  readonly trust?: TlsSettings | undefined;
  readonly signal: AbortSignal;
}

/** The connection to the proxy; another one after a response that ends it. */
export class ProxyConnection implements Disposable {
  readonly #plan: ProxyConnectionOptions;
  readonly #trace: Trace;
  socket: Socket | TLSSocket;

  private constructor(plan: ProxyConnectionOptions, trace: Trace, socket: Socket | TLSSocket) {
    this.#plan = plan;
    this.#trace = trace;
    this.socket = socket;
  }

  static async open(plan: ProxyConnectionOptions, trace: Trace): Promise<ProxyConnection> {
    return new ProxyConnection(plan, trace, await connectToProxy(plan, trace));
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  async reconnect(): Promise<void> {
    this.socket.destroy();
    this.socket = await connectToProxy(this.#plan, this.#trace);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

async function connectToProxy(
  { proxy, trust, signal }: ProxyConnectionOptions,
  trace: Trace,
): Promise<Socket | TLSSocket> {
  const port = Number(proxy.port || (proxy.protocol === 'https:' ? 443 : 80));
  const host = bareHost(proxy.hostname);
  const tls = proxy.protocol === 'https:';
  const socket = tls
    ? connectTls({ servername: isIP(host) ? '' : host, ...(trust ?? tlsSettings([]))(host), host, port })
    : connectTcp({ host, port });
  try {
    await once(socket, tls ? 'secureConnect' : 'connect', { signal });
  } catch (error) {
    socket.on('error', () => {}).destroy();
    const at = formatAuthority({ host, port });
    const distrust = signal.aborted ? undefined : distrustOf(error);
    if (distrust !== undefined) {
      throw new ExplainError({
        who: 'the proxy',
        what: `its certificate at ${at} is not trusted: ${distrust}`,
        advice: `--ca FILE trusts its authority here; a proxy that runs trusts it by upstreams: [{ host: ${host}, ca: FILE }]`,
        rfc: 'RFC 8446 §4.4.2',
      });
    }
    const what = signal.aborted ? 'no response in time' : socketMeaning(error);
    throw new ExplainError({
      who: 'the proxy',
      what: `it cannot be reached at ${at}: ${what}`,
      advice: 'is it running, and is that its port?',
    });
  }
  // A read that waits rejects with the error; between two reads there is none that needs it.
  socket.on('error', () => {});
  trace.add({
    kind: 'proxy-connected',
    from: addressText(socket.localAddress, socket.localPort),
    to: addressText(socket.remoteAddress, socket.remotePort),
    over: tls ? 'tls' : 'tcp',
  });
  return socket;
}

export const bareHost = (hostname: string): string => hostname.replace(/^\[|\]$/g, '');

const addressText = (address: string | undefined, port: number | undefined): string =>
  formatAuthority({ host: address ?? '', port: port ?? 0 });
