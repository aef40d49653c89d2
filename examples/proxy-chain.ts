/**
 * The interface of the package proxy-chain over Viaduct, for a program that moves from one to the other: `Server`,
 * `RequestError`, `anonymizeProxy`, `createTunnel`. docs/FROM-PROXY-CHAIN.md lists what differs.
 * `node examples/proxy-chain.ts [PORT]`, after `npm run build`, serves as `new Server({ port })` does.
 */
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AuthenticateContext,
  type ClientInfo,
  type HookResponse,
  ProxyError,
  type ProxyRecord,
  type RequestContext,
  type RouteWithTerms,
  startProxy,
  type ViaductProxy,
} from 'viaduct';
import { checkPort, closeTunnel, createTunnel } from './proxy-chain-tunnels.ts';
import {
  type ConnectionStats,
  type PrepareRequestOptions,
  type PrepareRequestResult,
  RequestError,
  requestOf,
  type ServerOptions,
} from './proxy-chain-types.ts';

export type { ConnectionStats, PrepareRequestOptions, PrepareRequestResult, ServerOptions };
export { closeTunnel, createTunnel, RequestError };

const INVALID_UPSTREAM = 'Invalid "upstreamProxyUrl" provided';
const SCHEMES = new Set(['http:', 'https:', 'socks4:', 'socks4a:', 'socks5:', 'socks5h:', 'socks:']);

/** proxy-chain takes a login without a colon for a name alone; for RFC 7617 it is none. */
function loginIn({ credentials, headers }: AuthenticateContext) {
  if (credentials !== undefined) return credentials;
  const [, value = ''] = headers.find(([name]) => name.toLowerCase() === 'proxy-authorization') ?? [];
  const name = Buffer.from(/^basic +(\S+)$/i.exec(value)?.[1] ?? '', 'base64').toString();
  return { username: name.includes(':') ? '' : name, password: '' };
}

/** The certificate of a listener lies in files. */
function certificateFiles({ key, cert }: NonNullable<ServerOptions['httpsOptions']>) {
  const folder = mkdtempSync(join(tmpdir(), 'proxy-chain-'));
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key, { mode: 0o600 });
  return { folder, files };
}

export class Server extends EventEmitter {
  readonly serverType: 'http' | 'https';
  readonly stats = { httpRequestCount: 0, connectRequestCount: 0 };
  readonly #options: ServerOptions;
  readonly #ids = new Map<ClientInfo, number>();
  readonly #stats = new Map<number, ConnectionStats>();
  #lastId = 0;
  #proxy: ViaductProxy | undefined;
  #folder: string | undefined;

  constructor(options: ServerOptions = {}) {
    super();
    this.#options = options;
    this.serverType = options.serverType ?? 'http';
    if (this.serverType === 'https' && options.httpsOptions === undefined)
      throw new Error('httpsOptions is required when serverType is "https"');
  }

  get port(): number {
    return this.#proxy?.port ?? this.#options.port ?? 8000;
  }

  /** Of the `http.Server` of proxy-chain what programs ask: its address. */
  get server() {
    return { address: () => this.#proxy?.address() ?? null };
  }

  async listen(): Promise<void> {
    const { host, port = 8000, httpsOptions } = this.#options;
    const address = `${host === undefined ? '[::]' : host.includes(':') ? `[${host}]` : host}:${port}`;
    const certificate = this.serverType === 'https' && httpsOptions ? certificateFiles(httpsOptions) : undefined;
    this.#folder = certificate?.folder;
    const proxy = await startProxy({
      listen: certificate ? { url: `https://${address}`, tls: certificate.files } : `http://${address}`,
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
      if (stats !== undefined) addTo(stats, record);
      if (record.failure === 'client_tls_failed')
        this.emit('tlsError', { error: Object.assign(new Error(record.detail), { code: record.detail }) });
    });
  }

  getConnectionIds(): number[] {
    return [...this.#ids.values()];
  }

  getConnectionStats(connectionId: number): ConnectionStats | undefined {
    const ended = this.#stats.get(connectionId);
    if (ended === undefined) return undefined;
    const stats = { ...ended };
    for (const session of this.#proxy?.sessions() ?? []) {
      if (this.#ids.get(session.client) === connectionId) addTo(stats, session);
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
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
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
      // Its listeners still find it.
      this.emit('connectionClosed', { connectionId, stats: this.#stats.get(connectionId) });
      this.#ids.delete(client);
      this.#stats.delete(connectionId);
    });
  }

  async #prepare(ctx: AuthenticateContext) {
    const { prepareRequestFunction, authRealm = 'ProxyChain' } = this.#options;
    const isHttp = ctx.kind === 'forward';
    this.stats[isHttp ? 'httpRequestCount' : 'connectRequestCount'] += 1;
    const connectionId = this.#ids.get(ctx.client) ?? this.#open(ctx.client);
    ctx.state.connectionId = connectionId;
    ctx.state.request = requestOf(ctx);
    const { username, password } = loginIn(ctx);
    const { target } = ctx;
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

type Counted = Pick<ProxyRecord, 'bytesUp' | 'bytesDown' | 'wire' | 'route'>;

function addTo(stats: ConnectionStats, { bytesUp, bytesDown, wire, route }: Counted): void {
  stats.srcRxBytes += wire?.clientRead ?? bytesUp;
  stats.srcTxBytes += wire?.clientWritten ?? bytesDown;
  if (route === undefined) return;
  stats.trgRxBytes = (stats.trgRxBytes ?? 0) + (wire?.upstreamRead ?? bytesDown);
  stats.trgTxBytes = (stats.trgTxBytes ?? 0) + (wire?.upstreamWritten ?? bytesUp);
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

if (import.meta.main) {
  const server = new Server({ port: Number(process.argv[2] ?? 8000), host: '127.0.0.1' });
  await server.listen();
  console.log(`listening on http://127.0.0.1:${server.port}`);
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  await server.close(true);
}
