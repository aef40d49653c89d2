import type {
  AcceptedClient,
  ClientConnection,
  ClientContext,
  ClientPlace,
  ClientProtocol,
  ConnectionHost,
  EvictedClient,
  Rejection,
} from '../../src/clients/client-protocol.ts';
import { ClientTunnel } from '../../src/clients/client-tunnel.ts';
import type { SentHead, TunnelResponder } from '../../src/contracts/client.ts';
import { FAILURES, ProxyError } from '../../src/contracts/failure.ts';
import type { ClientInfo, TunnelRequest } from '../../src/contracts/request.ts';
import { Secret } from '../../src/contracts/secret.ts';
import type { Connection } from '../../src/contracts/stages.ts';
import type { Ownership, Receiver, Wire } from '../../src/contracts/wire.ts';
import { handleTunnel } from '../../src/pipeline/handle.ts';
import { parseAuthority } from '../../src/protocol/addresses/authority.ts';
import { Stop } from '../../src/util/stop.ts';

/**
 * The smallest protocol that needs all of the pipeline: `TUNNEL host:port [user password]\n` is answered `OK\n`, and is a
 * tunnel then, or `NO code\n`. It shows that nothing outside `clients/http1` and `clients/http` depends on HTTP.
 */
export const lineProtocol = (context: ClientContext): ClientProtocol => ({
  protocol: 'line',
  serve: (accepted) => new LineConnection(accepted, context),
  reject: rejection,
});

const rejection = (why: ProxyError): Rejection => ({
  bytes: Buffer.from(`NO ${why.code}\n`),
  sent: { status: FAILURES[why.code].status, headers: [] },
});

class LineConnection implements ClientConnection, Receiver, TunnelResponder {
  readonly #place: ClientPlace;
  readonly #host: ConnectionHost;
  readonly #wire: Wire;
  readonly #client: ClientInfo;
  readonly #context: ClientContext;
  readonly #stop = new Stop();
  #state: 'line' | 'request' | 'gone' | ClientTunnel = 'line';
  #received: Buffer = Buffer.alloc(0);
  headersSent = false;

  constructor({ wire, client, early, place, host }: AcceptedClient, context: ClientContext) {
    this.#wire = wire;
    this.#client = client;
    this.#context = context;
    this.#place = place;
    this.#host = host;
    wire.stream.once('close', () => this.#closed());
    queueMicrotask(() => {
      wire.deliverTo(this);
      this.bytes(early);
    });
  }

  get active(): number {
    return this.#state === 'request' || (this.#state instanceof ClientTunnel && this.#state.isOpen) ? 1 : 0;
  }

  close(): void {
    if (this.active === 0) this.#wire.stream.destroy();
  }

  evict(why: ProxyError): EvictedClient {
    this.#closed();
    return { wire: this.#wire, rejection: rejection(why) };
  }

  abort(why: ProxyError): void {
    this.stop(why);
    if (this.#state !== 'request') this.#wire.stream.destroy();
  }

  abortResponse(): void {
    this.#wire.stream.destroy();
  }

  stop(why: ProxyError): void {
    this.#stop.abort(why);
  }

  bytes(chunk: Buffer, _ownership?: Ownership): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf('\n');
    if (this.#state !== 'line' || end < 0) return;
    const line = this.#received.toString('latin1', 0, end);
    this.#received = this.#received.subarray(end + 1);
    this.#state = 'request';
    this.#place.markBusy();
    void handleTunnel(this.#requestOf(line), this, this.#context.services(), this.#context.sessions);
  }

  end(): void {
    if (this.#state === 'line') this.#wire.stream.destroy();
  }

  failed(): void {
    this.#wire.stream.destroy();
  }

  async established(): Promise<Connection> {
    this.headersSent = true;
    this.#wire.stream.write('OK\n', 'latin1');
    this.#wire.deliverTo(undefined);
    const socket = { wire: this.#wire, closed: () => this.#closed() };
    this.#state = new ClientTunnel(socket, this.#received, this.#stop);
    return this.#state;
  }

  refuse(error: ProxyError): SentHead | undefined {
    if (this.#wire.stream.destroyed) return undefined;
    const { bytes, sent } = rejection(error);
    this.headersSent = true;
    this.#wire.stream.write(bytes);
    this.#wire.stream.end(() => this.#wire.stream.destroy());
    return sent;
  }

  #requestOf(line: string): TunnelRequest {
    const [, to = '', username, password = ''] = line.split(' ');
    return {
      id: this.#context.nextId(),
      kind: 'tunnel',
      method: 'CONNECT',
      requestTarget: to,
      target: parseAuthority(to),
      protocol: 'line',
      headers: [],
      credentials: username === undefined ? undefined : { kind: 'password', username, password: new Secret(password) },
      client: this.#client,
      signal: this.#stop,
      startedMs: this.#context.clock.now(),
    };
  }

  #closed(): void {
    if (this.#state === 'gone') return;
    if (this.#state instanceof ClientTunnel) {
      this.#state.socketClosed();
      if (this.#state.isOpen) return;
    }
    if (this.#state === 'request') this.stop(new ProxyError('client_gone', 'the client closed the connection'));
    this.#state = 'gone';
    this.#host.closed(this.#place);
  }
}
