import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer, type Server, TLSSocket } from 'node:tls';
import type { ProxyError } from '../../contracts/failure.ts';
import { watchFile } from '../../files/watch-file.ts';
import { transportOf } from '../../net/node-internals.ts';
import { filesOfTls, readTlsMaterial, type TlsMaterial, TlsMaterialError } from '../../net/tls-material.ts';
import type { AcceptedClient, ClientConnection, ClientContext, ClientProtocol, Rejection } from '../client-protocol.ts';
import { listenUrl } from '../listening.ts';
import type { Listen, ListenTls } from '../options.ts';
import { plainAlert } from './alert.ts';
import { Handshake, type HandshakeHost } from './handshake.ts';

/** Unfinished handshakes of one listener: each may take some milliseconds of the processor as soon as its client likes. */
const HANDSHAKES_MAX = 1_000;
/** A certificate and its key are two files: while only one of them is new, they do not belong together. */
const PAIR_MS = 2_000;
/** Ours ends a handshake before. */
const NODE_TIMEOUT_MS = 2 ** 31 - 1;

/** A Node that hides what is read in net/node-internals.ts. */
const OWN_SERVERS =
  'this Node hides the transport of a TLS socket: each handshake takes a TLS server of its own, and no session is resumed; ' +
  'run Viaduct on Node 22, 24 or 26';

const ALPN = ['h2', 'http/1.1', 'http/1.0'];

/** What is spoken inside TLS, by what ALPN (RFC 7301) has agreed on. */
export interface InnerProtocols {
  readonly http1: ClientProtocol;
  readonly http2: ClientProtocol;
}

/** TLS in front of HTTP/1 and HTTP/2. Throws TlsMaterialError when a file of `listen.settings.tls` cannot be used. */
export function tlsProtocol(context: ClientContext, listen: Listen, inner: InnerProtocols): ClientProtocol {
  const tls = listen.settings?.tls;
  if (tls === undefined) throw new TlsMaterialError([], `${listenUrl(listen)} needs tls: { cert, key }`);
  return new TlsProtocol(context, listen, tls, inner);
}

class TlsProtocol implements ClientProtocol, HandshakeHost {
  readonly protocol = 'tls';
  readonly context: ClientContext;
  readonly tls: ListenTls;
  readonly #url: string;
  readonly #inner: InnerProtocols;
  readonly #handshakes = new Map<unknown, Handshake>();
  #material: TlsMaterial;
  /** `undefined`: Node does not say which handshake an event is about, and each handshake has a server of its own. */
  #server: Server | undefined;
  readonly #watches: readonly Disposable[];
  #retry: Disposable | undefined;

  constructor(context: ClientContext, listen: Listen, tls: ListenTls, inner: InnerProtocols) {
    this.context = context;
    this.tls = tls;
    this.#url = listenUrl(listen);
    this.#inner = inner;
    this.#material = readTlsMaterial(tls);
    if (showsTransports()) this.#server = this.#sharedServer();
    else this.#notice('warn', OWN_SERVERS);
    this.#watches = context.watchesFiles() ? this.#watch() : [];
  }

  serve(accepted: AcceptedClient): ClientConnection {
    return new Handshake(accepted, this);
  }

  reject(why: ProxyError, id: string): Rejection {
    const { sent } = this.#inner.http1.reject(why, id);
    return { bytes: plainAlert(why.code === 'denied' ? 'access_denied' : 'internal_error'), sent };
  }

  protocolFor(alpn: string | false | null): ClientProtocol {
    return alpn === 'h2' ? this.#inner.http2 : this.#inner.http1;
  }

  begin(transport: Duplex, handshake: Handshake): void {
    const [oldest] = this.#handshakes.values();
    if (this.#handshakes.size >= HANDSHAKES_MAX) oldest?.expired();
    this.#handshakes.set(transport, handshake);
    const server = this.#server ?? this.#createServer(() => this.#handshakes.get(transport));
    server.emit('connection', transport);
  }

  ended(transport: Duplex, handshake: Handshake): void {
    if (this.#handshakes.get(transport) === handshake) this.#handshakes.delete(transport);
  }

  /** Open connections and handshakes live on. */
  [Symbol.dispose](): void {
    this.#retry?.[Symbol.dispose]();
    for (const watch of this.#watches) watch[Symbol.dispose]();
  }

  #sharedServer(): Server {
    return this.#createServer((socket) => this.#handshakes.get(transportOf(socket)));
  }

  #createServer(handshakeOf: (socket: TLSSocket) => Handshake | undefined): Server {
    const { options, byName } = this.#material;
    const server = createServer({
      ...options,
      ALPNProtocols: ALPN,
      requestCert: this.tls.clientCa !== undefined,
      // Judged here: Node would close the connection without a word.
      rejectUnauthorized: false,
      handshakeTimeout: NODE_TIMEOUT_MS,
    });
    for (const { name, context } of byName) server.addContext(name, context);
    server.on('secureConnection', (socket) => handshakeOf(socket)?.secured(socket));
    server.on('tlsClientError', (error, socket) => handshakeOf(socket)?.failed(error));
    if (this.tls.clientCa !== undefined) server.on('keylog', (line, socket) => handshakeOf(socket)?.keyLog(line));
    return server;
  }

  #watch(): Disposable[] {
    return filesOfTls(this.tls).flatMap((file) => {
      try {
        return [watchFile(file, this.context.clock, () => this.#renew('once-more'))];
      } catch {
        this.#notice('warn', `changes of ${file} are not noticed: its folder cannot be watched`);
        return [];
      }
    });
  }

  #renew(whenWrong: 'once-more' | 'report'): void {
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
    try {
      this.#material = readTlsMaterial(this.tls);
      if (this.#server !== undefined) this.#server = this.#sharedServer();
      this.#notice('info', 'the certificates were read again');
    } catch (error) {
      if (!(error instanceof TlsMaterialError)) throw error;
      if (whenWrong === 'once-more') this.#retry = this.context.clock.after(PAIR_MS, () => this.#renew('report'));
      else this.#notice('error', `${error.message}; the certificates of before stay in force`);
    }
  }

  #notice(level: 'info' | 'warn' | 'error', message: string): void {
    this.context.services().observe({ type: 'notice', level, message: `${this.#url}: ${message}` });
  }
}

/** Whether this Node lets `transportOf` find a transport: it is tried. */
function showsTransports(): boolean {
  const transport = new Socket();
  const socket = new TLSSocket(transport, { isServer: true });
  const isShown = transportOf(socket) === transport;
  for (const one of [socket, transport]) one.on('error', () => undefined).destroy();
  return isShown;
}
