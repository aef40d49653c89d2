import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { addressText, isExposed } from '../clients/options.ts';
import type { AdminConfig } from '../config/admin.ts';
import type { Observe } from '../contracts/event.ts';
import type { AdminToken } from '../credentials/admin-token.ts';
import { readFileBounded } from '../files/read-file.ts';
import { peerUid } from '../net/peer-uid.ts';
import { type ListenAddress, listenAddresses } from '../policy/listen-addresses.ts';
import { localNames } from '../policy/local-names.ts';
import { CidrSet, knownCidr } from '../protocol/addresses/ip-address.ts';
import type { Clock } from '../util/clock.ts';
import { type AccessRules, checkAccess, type Entrance, type Purpose } from './access.ts';
import { AdminError, notFound } from './admin-error.ts';
import { type Api, apiRoutes } from './api.ts';
import type { ControlledProxy, ProxyOwner } from './controlled-proxy.ts';
import { addressesOf, closerOf, newServer, type ReservedAddress, type ReservedAdmin, reserveAdmin } from './listen.ts';
import { OneTimeCodes } from './one-time-codes.ts';
import { readJson } from './read-json.ts';
import { protect, sendAnswer, sendError, sendFile } from './respond.ts';
import { findRoute, type Route } from './routes.ts';
import { PLAIN_PAGE, StaticFiles } from './static-files.ts';

export interface AdminServerOptions {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly token: AdminToken;
  readonly version: string;
  readonly owner?: ProxyOwner;
  /** Where the built dashboard is. Default: beside the command. */
  readonly dashboard?: string;
  /** Its addresses, where they were taken before. */
  readonly reserved?: ReservedAdmin;
}

/** A PEM file; chains of certificates are a few kilobytes. */
const PEM_BYTES_MAX = 1_048_576;

/** Dashboard, API and metrics: on the admin addresses, and on the control socket. */
export class AdminServer implements AsyncDisposable {
  readonly #options: AdminServerOptions;
  readonly #config: AdminConfig | undefined;
  readonly #rules: AccessRules;
  readonly #opened: Pick<ReservedAddress, 'listen'>[] = [];
  readonly #closers: (() => Promise<void>)[] = [];
  readonly #codes: OneTimeCodes;
  readonly #files: StaticFiles;
  #routes: readonly Route[];
  #proxy: ControlledProxy | undefined;
  #state: 'starting' | 'serving' | 'draining' = 'starting';
  #api: Api | undefined;

  private constructor(config: AdminConfig | undefined, options: AdminServerOptions) {
    this.#options = options;
    this.#config = config;
    this.#codes = new OneTimeCodes(options.clock);
    this.#files = new StaticFiles(options.dashboard);
    const names = config?.listen.flatMap((listen) => (listen.kind === 'tcp' ? [listen.host] : [])) ?? [];
    const addresses = listenAddresses(() => this.addresses, options.clock);
    this.#rules = {
      allow: config?.allow && new CidrSet(config.allow.map(knownCidr)),
      metrics: config?.metrics ?? 'open',
      isThisMachine: localNames(addresses, names),
      token: () => options.token.read(),
    };
    this.#routes = this.#ownRoutes();
  }

  /** Opens the admin addresses. Until `serve`, only `/healthz` says that all is well. Rejects with a ListenError. */
  static async open(config: AdminConfig | undefined, options: AdminServerOptions): Promise<AdminServer> {
    const server = new AdminServer(config, options);
    if (config !== undefined) await server.#listen(config);
    return server;
  }

  /** The admin address that is printed; `undefined`: there is none. */
  get url(): string | undefined {
    const [first] = this.#opened;
    return first && `${this.#scheme}://${addressText(first.listen)}`;
  }

  /** No route of the proxy may lead there. */
  get addresses(): readonly ListenAddress[] {
    return addressesOf(this.#opened);
  }

  get wasMoved(): boolean {
    const [wanted] = this.#config?.listen ?? [];
    const [found] = this.#opened;
    if (wanted?.kind !== 'tcp' || found?.listen.kind !== 'tcp') return false;
    return wanted.port !== 0 && wanted.port !== found.listen.port;
  }

  /** A link that signs a browser in once; `undefined`: there is no admin address. */
  link(): string | undefined {
    const { url } = this;
    return url && `${url}/#code=${this.#codes.create()}`;
  }

  /** From now on this proxy is shown. */
  serve(proxy: ControlledProxy): void {
    const api = apiRoutes({
      ...this.#options,
      observe: this.observe,
      proxy,
      allowsModes: this.#config?.modes ?? false,
      state: () => this.#state,
      drained: () => this.drain(),
      link: () => this.link(),
      onRotated: () => this.#codes.clear(),
    });
    this.#proxy = proxy;
    this.#api = api;
    this.#routes = [...this.#ownRoutes(), ...api.routes];
    if (this.#state === 'starting') this.#state = 'serving';
  }

  /** What is to be shown of an event: viewers get the lines of the log. */
  readonly show: Observe = (event) => {
    if (event.type === 'notice') this.#api?.log(event.level, event.message);
  };

  /** `/readyz` says 503 from now on. */
  drain(): void {
    this.#state = 'draining';
  }

  /** What happens here goes to the log, and to viewers. */
  readonly observe: Observe = (event) => {
    this.#options.observe(event);
    this.show(event);
  };

  /** Answers on this server too, which only this user can reach. */
  openControl(listen: (server: Server) => Promise<void>): Promise<void> {
    const server = newServer(undefined);
    server.on('connection', (socket) => this.#refuseOthers(socket));
    this.#attach(server, { reach: 'control', scheme: 'http' });
    return listen(server);
  }

  /** The modes of folder and socket keep other users out; this holds when something has changed them. */
  #refuseOthers(socket: Socket): void {
    const uid = peerUid(socket);
    if (uid === undefined || uid === process.getuid?.()) return;
    const message = `admin: refused the user with the id ${uid} at the control socket, which is for this user alone`;
    this.observe({ type: 'notice', level: 'warn', message });
    socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#api?.[Symbol.dispose]();
    await Promise.all(this.#closers.map((close) => close()));
  }

  get #scheme(): 'http' | 'https' {
    return this.#config?.tls === undefined ? 'http' : 'https';
  }

  async #listen(config: AdminConfig): Promise<void> {
    const reserved = this.#options.reserved ?? (await reserveAdmin(config));
    try {
      const { tls } = config;
      const read = (path: string) => readFileBounded(path, { bytesMax: PEM_BYTES_MAX, pipes: 'refuse' });
      const files = tls && { cert: read(tls.cert), key: read(tls.key) };
      for (const one of reserved) {
        const { listen } = one;
        const server = newServer(files);
        this.#attach(server, { reach: isExposed(listen) ? 'exposed' : 'loopback', scheme: this.#scheme });
        one.serve(server);
        this.#opened.push(one);
      }
    } catch (error) {
      for (const one of reserved) one.release();
      throw error;
    }
  }

  #attach(server: Server, entrance: Entrance): void {
    this.#closers.push(closerOf(server));
    server.on('request', (request, response) => void this.#answer(request, response, entrance));
    // By default Node hands the socket of a CONNECT to a listener, and closes it without a response where there is none.
    server.on('connect', (_request, socket) =>
      socket.end('HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\n\r\n'),
    );
  }

  async #answer(request: IncomingMessage, response: ServerResponse, entrance: Entrance): Promise<void> {
    protect(response);
    try {
      await this.#serve(request, response, entrance);
    } catch (error) {
      if (response.headersSent) return void response.destroy();
      if (error instanceof AdminError) return sendError(response, error);
      const message = error instanceof Error ? error.message : String(error);
      this.observe({ type: 'notice', level: 'error', message: `admin: ${request.method}: ${message}` });
      sendError(response, new AdminError(500, 'internal', 'Viaduct has failed to answer; its log says why.'));
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse, entrance: Entrance): Promise<void> {
    const { method = '', url = '' } = request;
    // An absolute URL is meant for a proxy, and names a host besides the field.
    if (!url.startsWith('/')) throw new AdminError(400, 'target', 'This is no proxy; the proxy has another port.');
    const [path = '', query = ''] = url.split(/\?(.*)/s);
    const found = findRoute(this.#routes, method, path);
    const purpose = found.is === 'route' ? found.route.purpose : purposeOf(path);
    checkAccess(request, purpose, entrance, this.#rules);
    if (found.is === 'other-method') throw methodNotAllowed(found.allow);
    if (found.is === 'nothing') return this.#sendPage(request, response, path);
    const body = await readJson(request);
    const answer = await found.route.run({
      request,
      response,
      entrance,
      query: new URLSearchParams(query),
      param: (name) => found.params.get(name) ?? '',
      body,
      from:
        entrance.reach === 'control' ? 'the control socket' : (request.socket.remoteAddress ?? 'an unknown address'),
    });
    if (answer !== 'written') sendAnswer(response, answer);
  }

  #sendPage(request: IncomingMessage, response: ServerResponse, path: string): void {
    if (purposeOf(path) === 'api') {
      throw this.#proxy === undefined ? starting() : notFound('There is no such path; /api/openapi.json lists all.');
    }
    const file = this.#files.find(path) ?? (path === '/' ? PLAIN_PAGE : undefined);
    if (file === undefined) throw notFound('There is no such page; the dashboard is at /.');
    if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed('GET');
    sendFile(request, response, file);
  }

  #ownRoutes(): Route[] {
    return [
      { method: 'GET', path: '/healthz', purpose: 'probe', run: () => ({ status: 200, json: { status: 'ok' } }) },
      {
        method: 'GET',
        path: '/readyz',
        purpose: 'probe',
        run: () => ({ status: this.#state === 'serving' ? 200 : 503, json: { status: this.#state } }),
      },
      // A place in the page, which people type as a path.
      {
        method: 'GET',
        path: '/explain',
        purpose: 'page',
        run: () => ({ status: 302, fields: { location: '/#/explain' } }),
      },
      {
        method: 'POST',
        path: '/api/session',
        purpose: 'session',
        run: ({ body, from }) => this.#signIn(body, from),
      },
    ];
  }

  #signIn(body: unknown, from: string): { status: number; json: unknown } {
    const code = typeof body === 'object' && body !== null && 'code' in body ? body.code : undefined;
    const { observe } = this;
    const { token } = this.#options;
    if (typeof code !== 'string' || !this.#codes.redeem(code)) {
      observe({
        type: 'notice',
        level: 'warn',
        message: `admin: a sign-in with a code that is not valid, from ${from}`,
      });
      throw new AdminError(
        401,
        'code',
        'The link is used or older than 10 minutes; viaduct token --link prints another.',
      );
    }
    observe({ type: 'notice', level: 'info', message: `admin: a browser signed in, from ${from}` });
    return { status: 200, json: { token: token.read() } };
  }
}

const purposeOf = (path: string): Purpose => (path === '/api' || path.startsWith('/api/') ? 'api' : 'page');

const starting = (): AdminError =>
  new AdminError(503, 'starting', 'The proxy is still starting; try again in a second.', { 'retry-after': '1' });

const methodNotAllowed = (allow: string): AdminError =>
  new AdminError(405, 'method', `This path takes ${allow}.`, { allow });
