import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { ProxyError } from '../../contracts/failure.ts';
import type { IdleTarget } from '../../net/idle-watch.ts';
import { TlsWire } from '../../net/tls-wire.ts';
import { recordRefused } from '../../pipeline/record-refused.ts';
import { NO_SLOT } from '../../util/slot-list.ts';
import type {
  AcceptedClient,
  ClientConnection,
  ClientContext,
  ClientProtocol,
  EvictedClient,
} from '../client-protocol.ts';
import type { ListenTls } from '../options.ts';
import { type Alert, encryptedAlert, plainAlert } from './alert.ts';
import { judgeClientCertificate } from './client-certificate.ts';
import { HandshakeSecrets } from './handshake-secrets.ts';

/** Time that a refused client has to read the alert. */
const ALERT_MS = 1_000;
const NOTHING = Buffer.alloc(0);
/** What OpenSSL finds, where an operator can do something about it. */
const DETAILS: ReadonlyMap<string, string> = new Map([
  ['ERR_SSL_HTTP_REQUEST', 'a client without TLS at an https: listener; write https:// for this proxy in its settings'],
]);

/** What a handshake needs of the listener's TLS. */
export interface HandshakeHost {
  readonly context: ClientContext;
  readonly tls: ListenTls;
  /** What the client speaks inside TLS. */
  protocolFor(alpn: string | false | null): ClientProtocol;
  /** Begins TLS on a transport. */
  begin(transport: Duplex, handshake: Handshake): void;
  /** It ended, either way. */
  ended(transport: Duplex, handshake: Handshake): void;
}

/** A connection whose TLS handshake has not ended. It holds a place, and hands that over with the wire inside TLS. */
export class Handshake implements ClientConnection, IdleTarget {
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  readonly active = 0;
  readonly #accepted: AcceptedClient;
  readonly #host: HandshakeHost;
  readonly #transport: Duplex;
  readonly #secrets: HandshakeSecrets | undefined;
  #state: 'handshaking' | 'refused' | 'over' = 'handshaking';

  constructor(accepted: AcceptedClient, host: HandshakeHost) {
    this.#accepted = accepted;
    this.#host = host;
    const { wire, early } = accepted;
    wire.stream.once('close', () => this.#closed());
    this.#transport = wire.toDuplex();
    // node:tls takes it over. A client that ends in the middle of its handshake has left, and gives its place back at once.
    this.#transport.allowHalfOpen = false;
    if (early.length > 0) this.#transport.unshift(early);
    this.#secrets = host.tls.clientCa === undefined ? undefined : new HandshakeSecrets();
    host.context.idle.watch(this);
    // Later: the listener has to enter this connection in its place first.
    queueMicrotask(() => {
      if (this.#state === 'handshaking' && !this.#transport.destroyed) host.begin(this.#transport, this);
    });
  }

  get limitMs(): number {
    if (this.#state === 'refused') return ALERT_MS;
    return this.#host.context.services().timeouts.requestHeadMs;
  }

  /** Bytes that do not end the handshake are no progress: a client that sends one now and then would hold a place for long. */
  wasTouched(): boolean {
    return false;
  }

  expired(): void {
    if (this.#state === 'handshaking') this.#record(new ProxyError('client_too_slow', 'the TLS handshake did not end'));
    this.close();
  }

  close(): void {
    this.#accepted.wire.stream.destroy();
  }

  abort(): void {
    this.close();
  }

  /** Nothing can be said to the client in the middle of a handshake. */
  evict(why: ProxyError, id: string): EvictedClient {
    this.#closed();
    const { wire } = this.#accepted;
    wire.stream.destroy();
    const { sent } = this.#host.protocolFor(false).reject(why, id);
    return { wire, rejection: { bytes: NOTHING, sent } };
  }

  /** A line of the key log, which node:tls writes where a client's certificate may be refused. */
  keyLog(line: Buffer): void {
    this.#secrets?.addLine(line);
  }

  failed(error: Error): void {
    if (this.#state !== 'handshaking') return;
    const code = 'code' in error ? String(error.code) : error.message;
    // A client that has left has not failed; a browser opens connections that it may not need.
    if (code !== 'ECONNRESET')
      this.#record(new ProxyError('client_tls_failed', DETAILS.get(code) ?? code, { cause: error }));
    this.#state = 'refused';
    // OpenSSL's alert is on its way.
    this.#transport.end();
    this.#host.context.idle.watch(this);
  }

  secured(socket: TLSSocket): void {
    if (this.#state !== 'handshaking') return void socket.destroy();
    const { context, tls } = this.#host;
    const verdict = judgeClientCertificate(socket, tls, context.clock.wallMs());
    if (verdict.at === 'refused') return this.#refuse(socket, verdict);
    this.#leave();
    // A tunnel may be ended by one side alone.
    socket.allowHalfOpen = true;
    const { wire, place, host } = this.#accepted;
    const version = socket.getProtocol() ?? 'TLS';
    // The same object: by it a program knows the connection from its beginning to its end.
    const client = Object.assign(this.#accepted.client, { tls: { version, user: verdict.user } });
    const inside = new TlsWire(socket, wire);
    place.of = this.#host.protocolFor(socket.alpnProtocol).serve({ wire: inside, client, early: NOTHING, place, host });
  }

  #refuse(socket: TLSSocket, { alert, detail }: ReturnType<typeof judgeClientCertificate> & { at: 'refused' }): void {
    this.#record(new ProxyError('client_certificate_rejected', detail));
    this.#state = 'refused';
    socket.on('error', () => undefined).resume();
    const bytes = this.#alertBytes(socket, alert);
    if (bytes === undefined) return this.close();
    this.#transport.end(bytes);
    this.#host.context.idle.watch(this);
  }

  /** `undefined`: none that this client could read. */
  #alertBytes(socket: TLSSocket, alert: Alert): Buffer | undefined {
    // Node writes its ChangeCipherSpec when this call is over, and all before that is in the clear (RFC 5246 §7.1). Of a session
    // that is resumed it has been written.
    if (socket.getProtocol() === 'TLSv1.2') return socket.isSessionReused() ? undefined : plainAlert(alert);
    const secrets = this.#secrets?.of(socket);
    return secrets && encryptedAlert(alert, secrets);
  }

  #record(why: ProxyError): void {
    const { context } = this.#host;
    const { client } = this.#accepted;
    const refused = { id: context.nextId(), protocol: 'tls', client, sent: undefined };
    recordRefused(why, refused, context.services(), context.sessions);
  }

  #leave(): void {
    this.#state = 'over';
    this.#host.context.idle.unwatch(this);
    this.#host.ended(this.#transport, this);
  }

  #closed(): void {
    if (this.#state === 'over') return;
    this.#leave();
    this.#accepted.host.closed(this.#accepted.place);
  }
}
