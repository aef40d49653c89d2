import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { formatAuthority } from '../../protocol/authority.ts';
import { socketMeaning } from './meaning.ts';
import { Stopped } from './stopped.ts';
import type { Trace } from './trace.ts';

export interface Reaching {
  readonly proxy: URL;
  readonly signal: AbortSignal;
}

/** The connection to the proxy; another one after an answer that ends it. */
export class Line implements Disposable {
  readonly #plan: Reaching;
  readonly #trace: Trace;
  socket: Socket | TLSSocket;

  private constructor(plan: Reaching, trace: Trace, socket: Socket | TLSSocket) {
    this.#plan = plan;
    this.#trace = trace;
    this.socket = socket;
  }

  static async open(plan: Reaching, trace: Trace): Promise<Line> {
    return new Line(plan, trace, await reachProxy(plan, trace));
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  async renew(): Promise<void> {
    this.socket.destroy();
    this.socket = await reachProxy(this.#plan, this.#trace);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

async function reachProxy({ proxy, signal }: Reaching, trace: Trace): Promise<Socket | TLSSocket> {
  const port = Number(proxy.port || (proxy.protocol === 'https:' ? 443 : 80));
  const host = bareHost(proxy.hostname);
  const tls = proxy.protocol === 'https:';
  const socket = tls ? connectTls({ host, port, servername: isIP(host) ? '' : host }) : connectTcp({ host, port });
  try {
    await once(socket, tls ? 'secureConnect' : 'connect', { signal });
  } catch (error) {
    socket.on('error', () => {}).destroy();
    const what = signal.aborted ? 'no answer in time' : socketMeaning(error);
    throw new Stopped({
      who: 'the proxy',
      what: `it cannot be reached at ${formatAuthority({ host, port })}: ${what}`,
      advice: 'is it running, and is that its port?',
    });
  }
  // The error is told to whoever waits; when nobody does any more, it is of no interest.
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
