import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import type { ProxyEvent } from '../contracts/event.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { ProxyRequest } from '../contracts/request.ts';
import type { Router } from '../contracts/routing.ts';
import type { AdmittedRequest, Routing } from '../contracts/stages.ts';
import { formatRoute } from '../protocol/routes/route-text.ts';
import { systemClock } from '../util/clock.ts';
import { createPacEngine } from './engine/engine.ts';
import { pacRouter } from './router.ts';
import type { PacScript, PacState } from './script.ts';

const COMMON = {
  id: 'r1',
  protocol: 'http/1.1',
  credentials: undefined,
  headers: [],
  client: { address: '127.0.0.1', port: 1, listener: 'test' },
  signal: new AbortController().signal,
  startedMs: 0,
  requestTarget: 'a.test:443',
} as const;

const admitted = (request: ProxyRequest): AdmittedRequest => ({
  request,
  principal: { name: '', scheme: 'none' },
  decision: { verdict: 'allow', rule: 'default' },
  permit: { limits: [], [Symbol.dispose]() {} },
});

const connect = (host: string, port = 443, signal = COMMON.signal): AdmittedRequest =>
  admitted({ ...COMMON, signal, kind: 'tunnel', method: 'CONNECT', target: { host, port } });

const get = (url: string): AdmittedRequest => {
  const { hostname, port } = new URL(url);
  const target = { host: hostname, port: Number(port) || 80 };
  return admitted({ ...COMMON, kind: 'forward', method: 'GET', target, url, path: '/', body: undefined });
};

const script = (text: string, more: Partial<PacScript> = {}): PacState => ({
  at: 'script',
  script: { text, source: 'http://pac.test/', namedBy: 'pac', readMs: 0, ...more },
  failure: undefined,
});

interface Stage {
  readonly router: Router;
  readonly notices: string[];
  readonly clock: ManualClock;
  state: PacState;
}

/** A router on a clock that the test advances; scripts run on the system's. */
function withRouter(state: PacState, body: (stage: Stage) => Promise<void>): () => Promise<void> {
  return leavesNothing(async () => {
    await using engine = createPacEngine({
      clock: systemClock,
      deadlineMs: 20_000,
      resolve: () => Promise.resolve(['192.0.2.1']),
      localAddresses: () => Promise.resolve({ first: undefined, all: [] }),
    });
    const clock = new ManualClock();
    const notices: string[] = [];
    const observe = (event: ProxyEvent) => {
      if (event.type === 'notice') notices.push(`${event.level}: ${event.message}`);
    };
    const stage: { state: PacState } = { state };
    const router = pacRouter({ source: stage, engine, clock, observe });
    await body(Object.assign(stage, { router, clock, notices }));
  });
}

const routesOf = ({ routes }: Routing): string[] => routes.map(formatRoute);

test(
  'routes are those that the script names, with the trust of the script',
  withRouter(script('function FindProxyForURL() { return "PROXY a:1; SOCKS5 b; DIRECT"; }'), async (stage) => {
    stage.clock.advance(5000);
    const routing = await stage.router.route(connect('x.test'));
    assert.deepEqual(routesOf(routing), ['http://a:1', 'socks5://b:1080', 'direct']);
    assert.ok(routing.by.kind === 'pac');
    const { source, ageMs, result, failure } = routing.by;
    assert.deepEqual(
      { source, ageMs, result, failure },
      { source: 'http://pac.test/', ageMs: 5000, result: 'PROXY a:1; SOCKS5 b; DIRECT', failure: undefined },
    );
    stage.state = script('function FindProxyForURL() { return "PROXY a:1"; }', { namedBy: 'untrusted-pac' });
    const { routes } = await stage.router.route(connect('x.test'));
    assert.deepEqual(routes, [
      { via: 'proxies', hops: [{ scheme: 'http', proxy: { host: 'a', port: 1 }, namedBy: 'untrusted-pac' }] },
    ]);
  }),
);

test(
  'for a tunnel the script gets an https URL, with the port unless it is 443; for a plain request the URL of the request',
  withRouter(
    script('function FindProxyForURL(url, host) { return "PROXY x:1; " + url + " " + host; }'),
    async ({ router }) => {
      const argumentsFor = async (from: AdmittedRequest) => {
        const { by } = await router.route(from);
        return by.kind === 'pac' ? by.result?.slice('PROXY x:1; '.length) : undefined;
      };
      assert.equal(await argumentsFor(connect('a.test')), 'https://a.test/ a.test');
      assert.equal(await argumentsFor(connect('a.test', 8443)), 'https://a.test:8443/ a.test');
      assert.equal(await argumentsFor(connect('2001:db8::1')), 'https://[2001:db8::1]/ 2001:db8::1');
      assert.equal(await argumentsFor(get('http://a.test/p?q')), 'http://a.test/p?q a.test');
      assert.equal(await argumentsFor(get('http://a.test:80/p')), 'http://a.test/p a.test');
      assert.equal(await argumentsFor(get('http://a.test:8080/')), 'http://a.test:8080/ a.test');
    },
  ),
);

test(
  'when a script fails, its last routes for the host are used; without them there are none',
  withRouter(script('function FindProxyForURL() { return "PROXY good:1"; }'), async (stage) => {
    await stage.router.route(connect('known.test'));
    stage.state = script('function FindProxyForURL() { throw new Error("broken"); }');
    const known = await stage.router.route(connect('known.test'));
    assert.deepEqual(routesOf(known), ['http://good:1']);
    assert.ok(known.by.kind === 'pac');
    assert.deepEqual([known.by.result, known.by.failure], [undefined, 'Error: broken (line 1)']);
    const unknown = await stage.router.route(connect('unknown.test'));
    assert.deepEqual(routesOf(unknown), []);
    assert.ok(unknown.by.kind === 'pac' && unknown.by.ageMs !== undefined);
    // Routes of a script from another location are not used.
    stage.state = script('function FindProxyForURL() { throw 1; }', { source: 'http://other.test/' });
    assert.deepEqual(routesOf(await stage.router.route(connect('known.test'))), []);
  }),
);

test(
  'a failure of a script is logged once a minute',
  withRouter(
    script('function FindProxyForURL(url, host) { throw new Error(host[0]); }'),
    async ({ router, clock, notices }) => {
      for (const host of ['a.test', 'a2.test', 'b.test', 'a.test']) await router.route(connect(host));
      const about = (host: string) =>
        `warn: the PAC from http://pac.test/ did not decide about ${host}.test: Error: ${host} (line 1)`;
      assert.deepEqual(notices, [about('a'), about('b')]);
      clock.advance(60_000);
      await router.route(connect('a.test'));
      assert.deepEqual(notices, [about('a'), about('b'), about('a')]);
    },
  ),
);

test(
  'a script whose failures all differ does not fill the log',
  withRouter(
    script('let n = 0; function FindProxyForURL() { throw new Error(n++); }'),
    async ({ router, clock, notices }) => {
      for (let n = 0; n < 30; n++) await router.route(connect('a.test'));
      assert.equal(notices.length, 11);
      assert.match(notices[9] ?? '', /^warn: the PAC from .* did not decide about a\.test: Error: 9 \(line 1\)$/);
      assert.match(
        notices[10] ?? '',
        /^warn: the PAC fails in many ways; further failures in this minute are not logged/,
      );
      clock.advance(60_000);
      await router.route(connect('a.test'));
      assert.equal(notices.length, 12);
    },
  ),
);

test(
  'alerts of a script are logged, up to a bound',
  withRouter(
    script(
      `function FindProxyForURL() { for (var i = 0; i < 40; i++) alert(i ? i : 'x'.repeat(900)); return 'DIRECT'; }`,
    ),
    async ({ router, clock, notices }) => {
      await router.route(connect('a.test'));
      assert.equal(notices.length, 31);
      assert.equal(notices[0], `info: the PAC script alerts: ${'x'.repeat(500)}…`);
      assert.equal(notices[1], 'info: the PAC script alerts: 1');
      assert.match(notices[30] ?? '', /^info: the PAC script calls alert too often/);
      clock.advance(60_000);
      await router.route(connect('a.test'));
      assert.equal(notices.length, 62);
    },
  ),
);

test(
  'an alert that repeats is logged once, and once a minute how often',
  withRouter(
    script(`function FindProxyForURL(u, h) { for (var i = 0; i < 3; i++) alert('hi'); alert(h); return 'DIRECT'; }`),
    async ({ router, clock, notices }) => {
      const alerted = (text: string) => `info: the PAC script alerts: ${text}`;
      for (const host of ['a.test', 'b.test', 'a.test']) await router.route(connect(host));
      assert.deepEqual(notices.splice(0), [alerted('hi (3 times)'), alerted('a.test'), alerted('b.test')]);
      clock.advance(60_000);
      await router.route(connect('a.test'));
      assert.deepEqual(notices.splice(0), [alerted('hi (6 more times)'), alerted('a.test (1 more time)')]);
      clock.advance(60_000);
      await router.route(connect('b.test'));
      assert.deepEqual(notices.splice(0), [
        alerted('hi (3 more times)'),
        alerted('a.test (1 more time)'),
        alerted('b.test'),
      ]);
    },
  ),
);

test(
  'without a PAC, and with one that cannot be read, there are no routes, and the routing says why',
  withRouter({ at: 'none' }, async (stage) => {
    assert.deepEqual(await stage.router.route(connect('a.test')), { routes: [], by: { kind: 'default' } });
    stage.state = { at: 'unreachable', source: 'http://pac.test/', failure: 'no answer within 3 seconds' };
    const { routes, by } = await stage.router.route(connect('a.test'));
    assert.deepEqual(routes, []);
    assert.ok(by.kind === 'pac');
    assert.deepEqual([by.ageMs, by.failure], [undefined, 'no answer within 3 seconds']);
    assert.deepEqual(stage.notices, ['warn: the PAC from http://pac.test/ cannot be used: no answer within 3 seconds']);
  }),
);

test(
  'proxies of the system are chosen by the kind of request, except for its exceptions',
  withRouter(
    {
      at: 'system-proxies',
      proxies: { source: 'GNOME', http: 'http://plain:1', https: 'http://secure:2', noProxy: ['.corp.test'] },
    },
    async (stage) => {
      const { router } = stage;
      assert.deepEqual(routesOf(await router.route(connect('a.test'))), ['http://secure:2']);
      const plain = await router.route(get('http://a.test/'));
      assert.deepEqual([routesOf(plain), plain.by], [['http://plain:1'], { kind: 'system', source: 'GNOME' }]);
      const exception = await router.route(connect('x.corp.test'));
      assert.deepEqual([routesOf(exception), exception.by], [['direct'], { kind: 'no-proxy', entry: '.corp.test' }]);
      stage.state = {
        at: 'system-proxies',
        proxies: { source: 'KDE', http: undefined, https: 'gopher://a', noProxy: [] },
      };
      assert.deepEqual(routesOf(await router.route(get('http://a.test/'))), ['direct']);
      assert.throws(
        () => router.route(connect('a.test')),
        (error) => error instanceof ProxyError && error.code === 'no_route',
      );
    },
  ),
);

test(
  'a request that is cancelled rejects with the reason of its signal',
  withRouter(
    script('function FindProxyForURL(url, host) { while (host === "loop.test") {} return "DIRECT"; }'),
    async ({ router }) => {
      await router.route(connect('a.test'));
      const gone = new AbortController();
      const routing = router.route(connect('loop.test', 443, gone.signal));
      gone.abort(new ProxyError('client_gone', 'test'));
      await assert.rejects(Promise.resolve(routing), (error) => error === gone.signal.reason);
    },
  ),
);
