/**
 * The interface of the package proxy-chain over Viaduct, for a program that moves from one to the other: `Server`,
 * `RequestError`, `anonymizeProxy`, `createTunnel`. docs/FROM-PROXY-CHAIN.md lists what differs.
 * `node examples/proxy-chain.ts [PORT]`, after `npm run build`, serves as `new Server({ port })` does.
 */
import { EventEmitter, once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';
import {
  type AuthenticateContext,
  type ClientInfo,
  connectVia,
  type HookResponse,
  ProxyError,
  type RequestContext,
  type RouteWithTerms,
  startProxy,
  type ViaductProxy,
} from 'viaduct';

export interface CustomResponse {
  readonly statusCode?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}
export interface PrepareRequestOptions {
  readonly connectionId: number;
  readonly request: ReturnType<typeof requestOf>;
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly port: number;
  readonly isHttp: boolean;
}
export interface PrepareRequestResult {
  readonly requestAuthentication?: boolean;
  readonly failMsg?: string;
  readonly upstreamProxyUrl?: string | null;
  readonly ignoreUpstreamProxyCertificate?: boolean;
  readonly localAddress?: string;
  readonly ipFamily?: 4 | 6;
  readonly dnsLookup?: (host: string, options: object, done: (error: Error | null, address: string) => void) => void;
  readonly customTag?: unknown;
  readonly customResponseFunction?: () => CustomResponse | Promise<CustomResponse>;
  readonly customConnectServer?: HttpServer | null;
}
export interface ServerOptions {
  readonly port?: number;
  readonly host?: string;
  readonly authRealm?: string;
  readonly verbose?: boolean;
  readonly prepareRequestFunction?: (
    options: PrepareRequestOptions,
  ) => PrepareRequestResult | undefined | Promise<PrepareRequestResult | undefined>;
}
export interface ConnectionStats {
  srcTxBytes: number;
  srcRxBytes: number;
  trgTxBytes: number | null;
  trgRxBytes: number | null;
}

/** A refusal with a status and a text of the program's own. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly statusCode: number;
  readonly headers: Record<string, string> | undefined;

  constructor(message: string, statusCode: number, headers?: Record<string, string>) {
    super(message);
    this.statusCode = statusCode;
    this.headers = headers;
  }
}

const INVALID_UPSTREAM = 'Invalid "upstreamProxyUrl" provided';
const SCHEMES = new Set(['http:', 'https:', 'socks4:', 'socks4a:', 'socks5:', 'socks5h:', 'socks:']);

/** What proxy-chain hands over as an `http.IncomingMessage`: the fields that programs read of it. */
function requestOf({ method, url, target, headers, client }: RequestContext) {
  const authority = `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
  return {
    method,
    url: url ?? authority,
    headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
    rawHeaders: headers.flat(),
    socket: { remoteAddress: client.address, remotePort: client.port },
  };
}

export class Server extends EventEmitter {
  readonly stats = { httpRequestCount: 0, connectRequestCount: 0 };
  readonly #options: ServerOptions;
  readonly #ids = new Map<ClientInfo, number>();
  readonly #stats = new Map<number, ConnectionStats>();
  #lastId = 0;
  #proxy: ViaductProxy | undefined;

  constructor(options: ServerOptions = {}) {
    super();
    this.#options = options;
  }

  get port(): number {
    return this.#proxy?.port ?? this.#options.port ?? 8000;
  }

  /** Of the `http.Server` of proxy-chain what programs ask: its address. */
  get server() {
    return { address: () => this.#proxy?.address() ?? null };
  }

  async listen(): Promise<void> {
    const { host, port = 8000 } = this.#options;
    const proxy = await startProxy({
      listen: `http://${host === undefined ? '[::]' : host.includes(':') ? `[${host}]` : host}:${port}`,
      // proxy-chain has no rules of its own: everyone may go everywhere, unless the function says otherwise.
      open: true,
      access: 'all',
      guard: { deny: [] },
      routes: { pac: 'none' },
      authenticate: (ctx) => this.#prepare(ctx),
      route: (ctx) => routeOf(preparedIn(ctx)),
      respond: (ctx) => respondTo(preparedIn(ctx)),
      tunnel: (ctx) => preparedIn(ctx).customConnectServer,
    });
    this.#proxy = proxy;
    proxy.on('connection', ({ client }) => this.#open(client));
    proxy.on('connectionClosed', ({ client }) => this.#closed(client));
    proxy.on('upstreamResponse', ({ status, headers, state }) => {
      const response = {
        rawHeaders: headers.flat(),
        statusCode: status,
        headers: Object.fromEntries(headers.map(([n, v]) => [n.toLowerCase(), v])),
      };
      const name = status === 200 ? 'tunnelConnectResponded' : 'tunnelConnectFailed';
      const proxyChainId = state?.connectionId;
      const { customTag } = preparedIn({ state: state ?? {} });
      this.emit(name, { proxyChainId, response, customTag, socket: undefined, head: Buffer.alloc(0) });
    });
    proxy.on('error', ({ error, state }) => {
      if (error.code === 'hook_failed')
        this.emit('requestFailed', { error: error.cause ?? error, request: state?.request });
    });
    proxy.on('close', ({ record }) => {
      const stats = this.#stats.get(this.#ids.get(record.client) ?? -1);
      if (stats === undefined) return;
      // Of a plain request the bodies are counted, of a tunnel all bytes.
      const { clientRead = record.bytesUp, clientWritten = record.bytesDown } = record.wire ?? {};
      const { upstreamRead = record.bytesDown, upstreamWritten = record.bytesUp } = record.wire ?? {};
      stats.srcRxBytes += clientRead;
      stats.srcTxBytes += clientWritten;
      if (record.route === undefined) return;
      stats.trgRxBytes = (stats.trgRxBytes ?? 0) + upstreamRead;
      stats.trgTxBytes = (stats.trgTxBytes ?? 0) + upstreamWritten;
    });
  }

  getConnectionIds(): number[] {
    return [...this.#ids.values()];
  }

  getConnectionStats(connectionId: number): ConnectionStats | undefined {
    const ended = this.#stats.get(connectionId);
    if (ended === undefined) return undefined;
    const stats = { ...ended };
    for (const { client, bytesUp, bytesDown, route } of this.#proxy?.sessions() ?? []) {
      if (this.#ids.get(client) !== connectionId) continue;
      stats.srcRxBytes += bytesUp;
      stats.srcTxBytes += bytesDown;
      if (route === undefined) continue;
      stats.trgRxBytes = (stats.trgRxBytes ?? 0) + bytesDown;
      stats.trgTxBytes = (stats.trgTxBytes ?? 0) + bytesUp;
    }
    return stats;
  }

  closeConnection(connectionId: number): void {
    this.#proxy?.closeSessions(({ client }) => this.#ids.get(client) === connectionId, 'closeConnection()');
  }

  closeConnections(): void {
    this.#proxy?.closeSessions();
  }

  async close(closeConnections = false): Promise<void> {
    // proxy-chain waits for its connections for as long as they last.
    await this.#proxy?.close({ drain: closeConnections ? 0 : '7d' });
  }

  #open(client: ClientInfo): number {
    this.#lastId += 1;
    this.#ids.set(client, this.#lastId);
    this.#stats.set(this.#lastId, { srcTxBytes: 0, srcRxBytes: 0, trgTxBytes: null, trgRxBytes: null });
    return this.#lastId;
  }

  #closed(client: ClientInfo): void {
    // The record of its last request comes first.
    setImmediate(() => {
      const connectionId = this.#ids.get(client);
      if (connectionId === undefined) return;
      const stats = this.#stats.get(connectionId);
      this.#ids.delete(client);
      this.#stats.delete(connectionId);
      this.emit('connectionClosed', { connectionId, stats });
    });
  }

  async #prepare(ctx: AuthenticateContext) {
    const { prepareRequestFunction, authRealm = 'ProxyChain' } = this.#options;
    const isHttp = ctx.kind === 'forward';
    this.stats[isHttp ? 'httpRequestCount' : 'connectRequestCount'] += 1;
    const connectionId = this.#ids.get(ctx.client) ?? this.#open(ctx.client);
    ctx.state.connectionId = connectionId;
    ctx.state.request = requestOf(ctx);
    const { username, password, target } = ctx;
    const { host: hostname, port } = target;
    try {
      const request = requestOf(ctx);
      const asked = { connectionId, request, username, password, hostname, port, isHttp };
      const prepared = (await prepareRequestFunction?.(asked)) ?? {};
      if (prepared.requestAuthentication) {
        return ctx.requireLogin({ realm: authRealm, message: prepared.failMsg ?? 'Proxy credentials required.' });
      }
      check(prepared, isHttp);
      ctx.state.prepared = prepared;
    } catch (error) {
      if (!(error instanceof Error) || !('statusCode' in error)) throw error;
      throw ProxyError.custom({
        status: Number(error.statusCode),
        fields: 'headers' in error ? { ...(error.headers as Record<string, string>) } : {},
        body: error.message,
      });
    }
    return username === '' ? ctx.anonymous() : { id: username };
  }
}

function check({ upstreamProxyUrl, customResponseFunction }: PrepareRequestResult, isHttp: boolean): void {
  if (upstreamProxyUrl) {
    if (!URL.canParse(upstreamProxyUrl)) throw new Error(`${INVALID_UPSTREAM}: not a URL`);
    if (!SCHEMES.has(new URL(upstreamProxyUrl).protocol))
      throw new Error(`${INVALID_UPSTREAM}: of no scheme that is known`);
  }
  if (customResponseFunction === undefined) return;
  if (!isHttp) throw new Error('The "customResponseFunction" option can only be used for HTTP requests.');
  if (typeof customResponseFunction !== 'function') {
    throw new Error('The "customResponseFunction" option must be a function.');
  }
}

const preparedIn = ({ state }: Pick<RequestContext, 'state'>): PrepareRequestResult =>
  (state.prepared as PrepareRequestResult | undefined) ?? {};

function routeOf(prepared: PrepareRequestResult): RouteWithTerms {
  const { upstreamProxyUrl, ignoreUpstreamProxyCertificate, localAddress, ipFamily, dnsLookup } = prepared;
  const tls = ignoreUpstreamProxyCertificate === true ? { rejectUnauthorized: false } : undefined;
  return {
    via: upstreamProxyUrl ? [{ url: upstreamProxyUrl, tls, auth: { preemptive: true, latch: false } }] : 'direct',
    from: localAddress,
    family: ipFamily,
    lookup:
      dnsLookup &&
      ((host) =>
        new Promise((resolve, reject) => {
          const options = { family: ipFamily ?? 0 };
          dnsLookup(host, options, (error, address) => (error ? reject(error) : resolve(address)));
        })),
  };
}

async function respondTo({ customResponseFunction }: PrepareRequestResult): Promise<HookResponse | undefined> {
  const answer = await customResponseFunction?.();
  if (answer === undefined) return undefined;
  return { status: answer.statusCode ?? 200, headers: answer.headers, body: answer.body };
}

function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new Error('The "port" option must be an integer between 0 and 65535');
}

const anonymized = new Map<string, Server>();

/** A local proxy without a login in front of one with a login. */
export async function anonymizeProxy(
  options: string | { url: string; port?: number; ignoreProxyCertificate?: boolean },
) {
  const { url, port = 0, ignoreProxyCertificate = false } = typeof options === 'string' ? { url: options } : options;
  checkPort(port);
  const { protocol, username, password } = new URL(url);
  if (!SCHEMES.has(protocol))
    throw new Error(`Invalid "proxyUrl" provided: of no scheme that is known (was "${protocol}")`);
  if (!username && !password && !(ignoreProxyCertificate && protocol === 'https:')) return url;
  const server = new Server({
    port,
    host: '127.0.0.1',
    prepareRequestFunction: () => ({ upstreamProxyUrl: url, ignoreUpstreamProxyCertificate: ignoreProxyCertificate }),
  });
  await server.listen();
  const own = `http://127.0.0.1:${server.port}`;
  anonymized.set(own, server);
  return own;
}

export async function closeAnonymizedProxy(url: string, closeConnections = false): Promise<boolean> {
  if (typeof url !== 'string') throw new Error('The "anonymizedProxyUrl" parameter must be a string');
  const server = anonymized.get(url);
  anonymized.delete(url);
  await server?.close(closeConnections);
  return server !== undefined;
}

/** Calls back with each response of the upstream proxy to a CONNECT. */
export function listenConnectAnonymizedProxy(url: string, callback: (event: object) => void): boolean {
  return anonymized.get(url)?.on('tunnelConnectResponded', callback) !== undefined;
}

const tunnels = new Map<string, { readonly close: (all: boolean) => Promise<void> }>();

/** A local port each of whose connections leads to `host:port` through a proxy. */
export async function createTunnel(
  proxyUrl: string,
  target: string,
  { port = 0, hostname = '' }: { port?: number; hostname?: string } = {},
) {
  const host = hostname || '127.0.0.1';
  const { protocol } = new URL(proxyUrl);
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new Error(`The proxy URL must have the "http" or "https" protocol (was "${proxyUrl}")`);
  }
  const to = new URL(`connect://${target || ''}`);
  if (!to.hostname) throw new Error('Missing target hostname');
  if (!to.port) throw new Error('Missing target port');
  checkPort(port);
  if (!/^(?:localhost|127\..*|::1)$/.test(host)) {
    process.emitWarning(`others can reach the tunnel on ${host}, which asks for no login`, 'ProxyChainSecurityWarning');
  }
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, async (client) => {
    clients.add(client);
    client.on('error', () => client.destroy()).once('close', () => clients.delete(client));
    try {
      const far = await connectVia(proxyUrl, target, { allowHalfOpen: true });
      client.once('close', () => far.destroy());
      far.on('error', () => client.destroy()).once('close', () => client.destroy());
      client.pipe(far).pipe(client);
    } catch {
      client.destroy();
    }
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const shown = host.includes(':') ? `[${host}]` : host;
  const own = typeof address === 'object' && address !== null ? `${shown}:${address.port}` : '';
  tunnels.set(own, {
    async close(all) {
      const closed = once(server, 'close');
      server.close();
      if (all) for (const client of clients) client.destroy();
      await closed;
    },
  });
  return own;
}

export async function closeTunnel(address: string, closeConnections = false): Promise<boolean> {
  const tunnel = tunnels.get(address);
  tunnels.delete(address);
  await tunnel?.close(closeConnections);
  return tunnel !== undefined;
}

if (import.meta.main) {
  const server = new Server({ port: Number(process.argv[2] ?? 8000), host: '127.0.0.1' });
  await server.listen();
  console.log(`listening on http://127.0.0.1:${server.port}`);
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  await server.close(true);
}
