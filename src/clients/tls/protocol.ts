import type { Duplex } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { ProxyError } from '../../contracts/failure.ts';
import { watchFile } from '../../files/watch-file.ts';
import { transportOf } from '../../net/node-internals.ts';
import { filesOfTls, readTlsMaterial, TlsMaterialError } from '../../net/tls-material.ts';
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
  #server: Server;
  readonly #watches: readonly Disposable[];
  #retry: Disposable | undefined;

  constructor(context: ClientContext, listen: Listen, tls: ListenTls, inner: InnerProtocols) {
    this.context = context;
    this.tls = tls;
    this.#url = listenUrl(listen);
    this.#inner = inner;
    this.#server = this.#createServer();
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
    this.#server.emit('connection', transport);
  }

  ended(transport: Duplex, handshake: Handshake): void {
    if (this.#handshakes.get(transport) === handshake) this.#handshakes.delete(transport);
  }

  /** Open connections and handshakes live on. */
  [Symbol.dispose](): void {
    this.#retry?.[Symbol.dispose]();
    for (const watch of this.#watches) watch[Symbol.dispose]();
  }

  #createServer(): Server {
    const { options, byName } = readTlsMaterial(this.tls);
    const server = createServer({
      ...options,
      ALPNProtocols: ALPN,
      requestCert: this.tls.clientCa !== undefined,
      // Judged here: Node would close the connection without a word.
      rejectUnauthorized: false,
      handshakeTimeout: NODE_TIMEOUT_MS,
    });
    for (const { name, context } of byName) server.addContext(name, context);
    server.on('secureConnection', (socket) => this.#of(socket)?.secured(socket));
    server.on('tlsClientError', (error, socket) => this.#of(socket)?.failed(error));
    if (this.tls.clientCa !== undefined) server.on('keylog', (line, socket) => this.#of(socket)?.keyLog(line));
    return server;
  }

  #of(socket: TLSSocket): Handshake | undefined {
    return this.#handshakes.get(transportOf(socket));
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
      this.#server = this.#createServer();
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
