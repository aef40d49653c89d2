/**
 * The admin API for tests of the dashboard: the agreed shape, with rows and ticks that a test sets.
 *
 *   node test/dashboard/fake-api.ts [ROWS]     serves the built dashboard with made traffic, for a look at it
 */
import { readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Counters, Limit, Row, Snapshot, Status } from '../../dashboard/src/api/shape.ts';
import { ROOT } from '../../scripts/tools.ts';
import { MadeTraffic } from './made-traffic.ts';

const FILES = `${ROOT}dist/dashboard`;
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
/** The strictest policy that a server may send: the page must work under it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const TOKEN = 'token-of-the-tests';

type Answer = readonly [status: number, body?: unknown];
type Handler = (body: unknown, argument: string) => Answer;

/** What the page asked to be done. */
interface Act {
  readonly what: string;
  readonly body: unknown;
}

export class FakeApi {
  readonly acts: Act[] = [];
  /** One-time codes that were not used yet. */
  readonly codes = new Set<string>(['code-1']);
  limits: Limit[] = [];
  token = TOKEN;
  /** Whether it says which paths it has. */
  isDescribed = true;
  #rows = new Map<string, Row>();
  #closed: Row[] = [];
  #failures: Record<string, number> = {};
  #viewers = new Set<ServerResponse>();
  #server: Server | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  get open(): number {
    return this.#rows.size;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    // A restart comes back at the same address.
    this.#port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const viewer of this.#viewers) viewer.destroy();
    this.#viewers.clear();
    const server = this.#server;
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
  }

  /** Rows that changed, are new, or ended (by `state`); viewers get them in one event. */
  tick(rows: readonly Row[]): void {
    const closed = rows.filter(({ state }) => state === 'closed');
    const live = rows.filter(({ state }) => state !== 'closed');
    for (const row of live) this.#rows.set(row.id, row);
    for (const row of closed) {
      this.#rows.delete(row.id);
      if (row.failure !== undefined) this.#failures[row.failure] = (this.#failures[row.failure] ?? 0) + 1;
    }
    this.#closed = [...this.#closed, ...closed].slice(-500);
    const now = new Date().toISOString();
    this.#send('change', { at: now, counters: this.#counters(), tunnels: live, closed });
  }

  log(level: string, message: string): void {
    this.#send('log', { at: new Date().toISOString(), level, message });
  }

  /** Ends rows as the proxy does when the page asks for it. */
  #end(ids: readonly string[]): number {
    const ended = ids.flatMap((id) => this.#rows.get(id) ?? []);
    this.tick(ended.map((row): Row => ({ ...row, state: 'closed', end: 'aborted', rateUp: 0, rateDown: 0 })));
    return ended.length;
  }

  #send(event: string, data: unknown): void {
    const text = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const viewer of this.#viewers) viewer.write(text);
  }

  #counters(): Counters {
    const rows = [...this.#rows.values()];
    const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
    const heldBy: Record<string, number> = {};
    for (const { heldBy: name } of rows) if (name !== undefined) heldBy[name] = (heldBy[name] ?? 0) + 1;
    return {
      at: new Date().toISOString(),
      open: rows.length,
      bytesUp: sum((row) => row.bytesUp),
      bytesDown: sum((row) => row.bytesDown),
      rateUp: sum((row) => row.rateUp),
      rateDown: sum((row) => row.rateDown),
      requestsPerSecond: 4.2,
      failures: this.#failures,
      loopDelayMs: 1.4,
      heldBy,
    };
  }

  #status(): Status {
    return {
      name: 'viaduct',
      version: '0.1.0',
      pid: 4242,
      startedAt: '2026-01-02T03:04:05Z',
      workers: 2,
      mode: { mode: 'configured', available: ['configured', 'pac', 'direct', 'proxy'] },
      draining: false,
      listeners: ['http://127.0.0.1:3128', 'http://[::1]:3128'],
      relay: 'native',
      now: new Date().toISOString(),
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    if (!pathname.startsWith('/api/')) return serveFile(pathname, response);
    const body = await bodyOf(request);
    const what = `${request.method} ${pathname.slice('/api/'.length)}`;
    if (request.method !== 'GET') this.acts.push({ what, body });
    if (what === 'POST session') return answer(response, this.#session(body));
    if (request.headers.authorization !== `Bearer ${this.token}`)
      return answer(response, failed(401, 'a token is needed'));
    if (what === 'GET events') return this.#watch(response);
    const [, key = '', argument = ''] = /^(\w+ \w+)(?:\.json)?\/?(.*)$/.exec(what) ?? [];
    const handler = what === 'POST tunnels/end' ? this.#endMany : this.#handlers[key];
    const given =
      argument === '' ? (searchParams.get('url') ?? searchParams.get('by') ?? '') : decodeURIComponent(argument);
    answer(response, handler?.(body, given) ?? failed(404, 'not here'));
  }

  #session(body: unknown): Answer {
    const code = textIn(body, 'code');
    return this.codes.delete(code) ? [200, { token: this.token }] : failed(403, 'no such code');
  }

  readonly #endMany: Handler = (body) => {
    const ids = typeof body === 'object' && body !== null && 'ids' in body && Array.isArray(body.ids) ? body.ids : [];
    return [200, { ended: this.#end(ids.map(String)) }];
  };

  readonly #handlers: Readonly<Record<string, Handler>> = {
    'GET openapi': () => {
      const names = ['status', 'limits', 'rules', 'upstreams', 'credentials', 'config', 'totals', 'why'];
      if (!this.isDescribed) return failed(404, 'not here');
      return [200, { paths: Object.fromEntries(names.map((name) => [`/api/${name}`, {}])) }];
    },
    'GET status': () => [200, this.#status()],
    'DELETE tunnels': (_, id) => (this.#end([id]) === 1 ? [204] : failed(404, 'it has ended')),
    'GET limits': () => [200, { limits: this.limits }],
    'PUT limits': (body, name) => {
      const rate = typeof body === 'object' && body !== null && 'rate' in body ? Number(body.rate) : 0;
      this.limits = this.limits.map((limit) => (limit.name === name ? { ...limit, rate } : limit));
      return [200, this.limits.find((limit) => limit.name === name)];
    },
    'GET rules': () => [
      200,
      {
        rules: [
          {
            name: 'ads',
            kind: 'access',
            verdict: 'deny',
            hits: 1_204,
            lastHitAt: new Date(Date.now() - 3_000).toISOString(),
          },
          {
            name: 'ci',
            kind: 'access',
            verdict: 'allow',
            hits: 88,
            lastHitAt: new Date(Date.now() - 64_000).toISOString(),
          },
          { name: 'default', kind: 'access', verdict: 'allow', hits: 19_204, lastHitAt: new Date().toISOString() },
          { name: 'old-host', kind: 'access', verdict: 'deny', hits: 0 },
          { name: 'trial', kind: 'report', verdict: 'deny', hits: 3, lastHitAt: new Date().toISOString() },
          { name: 'corp', kind: 'route', hits: 41, lastHitAt: new Date().toISOString() },
        ],
      },
    ],
    'GET upstreams': () => [
      200,
      {
        upstreams: [
          {
            name: 'proxy.corp.example:8080',
            state: 'up',
            lastSeenAt: new Date(Date.now() - 2_000).toISOString(),
            latencyMs: [12, 14, 11, 40, 13, 12, 15, 18, 12],
          },
          {
            name: 'old.corp.example:8080',
            state: 'down',
            downUntil: new Date(Date.now() + 90_000).toISOString(),
            lastFailure: 'connection_refused',
          },
        ],
      },
    ],
    'GET credentials': () => [
      200,
      {
        accounts: [
          {
            upstream: 'proxy.corp.example:8080',
            user: 'CORP\\me',
            source: 'keyring',
            schemes: ['negotiate', 'ntlm'],
            isRejected: false,
            ticketsUntil: new Date(Date.now() + 7_200_000).toISOString(),
          },
          { upstream: 'lab.example:3128', user: 'me', source: 'env:LAB', schemes: ['basic'], isRejected: true },
        ],
      },
    ],
    'GET config': () => [
      200,
      {
        settings: [
          { path: 'listen', value: ['localhost:3128'], origin: 'default' },
          {
            path: 'limits.bandwidth',
            value: [{ name: 'whole', per: 'proxy', rate: '20MiB' }],
            origin: 'viaduct.yaml:4',
          },
          { path: 'credentials.corp', value: '•••', origin: 'viaduct.yaml:9' },
        ],
      },
    ],
    'GET totals': (_, by) => [
      200,
      {
        totals: [
          {
            key: by === 'host' ? 'registry.example' : '10.1.0.7',
            requests: 812,
            bytesUp: 4_100_000,
            bytesDown: 918_000_000,
            failures: 3,
          },
          {
            key: by === 'host' ? 'mail.example' : '10.1.0.9',
            requests: 77,
            bytesUp: 900_000,
            bytesDown: 1_200_000,
            failures: 0,
          },
        ],
      },
    ],
    'GET why': (_, url) => [
      200,
      {
        target: new URL(url).host,
        decision: { verdict: 'allow', rule: 'default' },
        limits: ['whole'],
        routing: { at: 'found', routes: [{ route: 'direct' }] },
      },
    ],
    'POST mode': (body) => [200, { mode: textIn(body, 'mode') }],
    'POST reload': () => [200, { applied: true, message: 'viaduct.yaml was applied' }],
    'POST drain': () => [202, { open: this.open }],
  };

  #watch(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const snapshot: Snapshot = {
      status: this.#status(),
      counters: this.#counters(),
      tunnels: [...this.#rows.values()],
      closed: this.#closed,
    };
    response.write(`event: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`);
    this.#viewers.add(response);
    response.on('close', () => this.#viewers.delete(response));
  }
}

const failed = (status: number, message: string): Answer => [status, { error: { code: String(status), message } }];

const textIn = (body: unknown, name: string): string =>
  typeof body === 'object' && body !== null
    ? String(Object.entries(body).find(([key]) => key === name)?.[1] ?? '')
    : '';

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text === '' ? undefined : JSON.parse(text);
}

function answer(response: ServerResponse, [status, body]: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function serveFile(pathname: string, response: ServerResponse): void {
  const path = join(FILES, normalize(pathname === '/' ? '/index.html' : pathname));
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
  });
  response.end(readFileSync(path));
}

if (import.meta.main) {
  const api = new FakeApi();
  api.limits = [
    {
      name: 'whole',
      kind: 'bandwidth',
      per: 'proxy',
      rate: 20 * 1024 ** 2,
      burst: 2 * 1024 ** 2,
      level: 0.66,
      active: 41,
      waiting: 0,
    },
    { name: 'downloads', kind: 'bandwidth', per: 'client', rate: '2MiB', level: 0.98, active: 12, waiting: 7 },
    { name: 'tunnels', kind: 'tunnels', used: 212, max: 10_000, active: 212, waiting: 0 },
    { name: 'monthly', kind: 'quota', per: 'user', used: 48 * 1024 ** 3, max: 50 * 1024 ** 3 },
  ];
  const traffic = new MadeTraffic(Number(process.argv[2] ?? 5_000));
  api.tick(traffic.begin());
  await api.start();
  process.stdout.write(`${api.url}#code=code-1\n`);
  setInterval(() => {
    api.tick(traffic.next());
    api.log('info', `made tick with ${api.open} rows`);
    api.codes.add('code-1');
  }, 1_000);
}
