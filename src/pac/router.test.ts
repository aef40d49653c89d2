import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { systemClock } from '../core/clock.ts';
import type { Router } from '../core/contracts.ts';
import type { ProxyEvent } from '../core/event.ts';
import { ProxyError } from '../core/failure.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Admitted, Routing } from '../core/stages.ts';
import { formatRoute } from '../protocol/route-text.ts';
import { createPacEngine } from './engine.ts';
import { pacRouter } from './router.ts';
import type { PacScript, PacState } from './script.ts';

const COMMON = {
  id: 'r1',
  version: '1.1',
  headers: [],
  client: { address: '127.0.0.1', port: 1, listener: 'test' },
  signal: new AbortController().signal,
  startedMs: 0,
} as const;

const admitted = (request: ProxyRequest): Admitted => ({
  request,
  principal: { name: '', scheme: 'none' },
  decision: { verdict: 'allow', rule: 'default' },
  permit: { limits: [], [Symbol.dispose]() {} },
});

const connect = (host: string, port = 443, signal = COMMON.signal): Admitted =>
  admitted({ ...COMMON, signal, kind: 'tunnel', method: 'CONNECT', target: { host, port } });

const get = (url: string): Admitted => {
  const { hostname, port } = new URL(url);
  const target = { host: hostname, port: Number(port) || 80 };
  return admitted({ ...COMMON, kind: 'forward', method: 'GET', target, url, path: '/', body: undefined });
};

const script = (text: string, more: Partial<PacScript> = {}): PacState => ({
  at: 'script',
  script: { text, source: 'http://pac.test/', namedBy: 'pac', readMs: 0, ...more },
  trouble: undefined,
});

interface Stage {
  readonly router: Router;
  readonly notices: string[];
  readonly clock: ManualClock;
  state: PacState;
}

/** A router on a clock that a test moves; scripts run on a real one. */
function withRouter(state: PacState, body: (stage: Stage) => Promise<void>): () => Promise<void> {
  return leavesNothing(async () => {
    await using engine = createPacEngine({
      clock: systemClock,
      deadlineMs: 20_000,
      resolve: () => Promise.resolve(['192.0.2.1']),
      ownAddresses: () => Promise.resolve({ first: undefined, all: [] }),
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

const ways = ({ routes }: Routing): string[] => routes.map(formatRoute);

test(
  'routes are those that the script names, trusted as far as the script is',
  withRouter(script('function FindProxyForURL() { return "PROXY a:1; SOCKS5 b; DIRECT"; }'), async (stage) => {
    stage.clock.advance(5000);
    const routing = await stage.router.route(connect('x.test'));
    assert.deepEqual(ways(routing), ['http://a:1', 'socks5://b:1080', 'direct']);
    assert.ok(routing.by.kind === 'pac');
    const { source, ageMs, answer, trouble } = routing.by;
    assert.deepEqual(
      { source, ageMs, answer, trouble },
      { source: 'http://pac.test/', ageMs: 5000, answer: 'PROXY a:1; SOCKS5 b; DIRECT', trouble: undefined },
    );
    stage.state = script('function FindProxyForURL() { return "PROXY a:1"; }', { namedBy: 'untrusted-pac' });
    const { routes } = await stage.router.route(connect('x.test'));
    assert.deepEqual(routes, [
      { via: 'proxies', hops: [{ scheme: 'http', proxy: { host: 'a', port: 1 }, namedBy: 'untrusted-pac' }] },
    ]);
  }),
);

test(
  'a tunnel is an https URL to the script, with a port only if it is another one; a plain request is its own URL',
  withRouter(
    script('function FindProxyForURL(url, host) { return "PROXY x:1; " + url + " " + host; }'),
    async ({ router }) => {
      const told = async (from: Admitted) => {
        const { by } = await router.route(from);
        return by.kind === 'pac' ? by.answer?.slice('PROXY x:1; '.length) : undefined;
      };
      assert.equal(await told(connect('a.test')), 'https://a.test/ a.test');
      assert.equal(await told(connect('a.test', 8443)), 'https://a.test:8443/ a.test');
      assert.equal(await told(connect('2001:db8::1')), 'https://[2001:db8::1]/ 2001:db8::1');
      assert.equal(await told(get('http://a.test/p?q')), 'http://a.test/p?q a.test');
      assert.equal(await told(get('http://a.test:80/p')), 'http://a.test/p a.test');
      assert.equal(await told(get('http://a.test:8080/')), 'http://a.test:8080/ a.test');
    },
  ),
);

test(
  'a script that fails is answered for by its last answer for the host, and by nobody where there is none',
  withRouter(script('function FindProxyForURL() { return "PROXY good:1"; }'), async (stage) => {
    await stage.router.route(connect('known.test'));
    stage.state = script('function FindProxyForURL() { throw new Error("broken"); }');
    const known = await stage.router.route(connect('known.test'));
    assert.deepEqual(ways(known), ['http://good:1']);
    assert.ok(known.by.kind === 'pac');
    assert.deepEqual([known.by.answer, known.by.trouble], [undefined, 'Error: broken (line 1)']);
    const unknown = await stage.router.route(connect('unknown.test'));
    assert.deepEqual(ways(unknown), []);
    assert.ok(unknown.by.kind === 'pac' && unknown.by.ageMs !== undefined);
    // What another place's script once said is of no use.
    stage.state = script('function FindProxyForURL() { throw 1; }', { source: 'http://other.test/' });
    assert.deepEqual(ways(await stage.router.route(connect('known.test'))), []);
  }),
);

test(
  'why a script did not decide is told once a minute for each trouble',
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
  'a script that fails in another way each time does not fill the log',
  withRouter(
    script('let n = 0; function FindProxyForURL() { throw new Error(n++); }'),
    async ({ router, clock, notices }) => {
      for (let n = 0; n < 30; n++) await router.route(connect('a.test'));
      assert.equal(notices.length, 11);
      assert.match(notices[9] ?? '', /^warn: the PAC from .* did not decide about a\.test: Error: 9 \(line 1\)$/);
      assert.match(notices[10] ?? '', /^warn: the PAC fails in more ways than are told/);
      clock.advance(60_000);
      await router.route(connect('a.test'));
      assert.equal(notices.length, 12);
    },
  ),
);

test(
  'what a script says is told, but not without end',
  withRouter(
    script(
      `function FindProxyForURL() { for (var i = 0; i < 40; i++) alert(i ? i : 'x'.repeat(900)); return 'DIRECT'; }`,
    ),
    async ({ router, clock, notices }) => {
      await router.route(connect('a.test'));
      assert.equal(notices.length, 31);
      assert.equal(notices[0], `info: the PAC script says: ${'x'.repeat(500)}…`);
      assert.equal(notices[1], 'info: the PAC script says: 1');
      assert.match(notices[30] ?? '', /^info: the PAC script says more than is told/);
      clock.advance(60_000);
      await router.route(connect('a.test'));
      assert.equal(notices.length, 62);
    },
  ),
);

test(
  'where no PAC is set, or there is none to be had, the answer is none and says which',
  withRouter({ at: 'none' }, async (stage) => {
    assert.deepEqual(await stage.router.route(connect('a.test')), { routes: [], by: { kind: 'default' } });
    stage.state = { at: 'unreachable', source: 'http://pac.test/', trouble: 'no answer within 3 seconds' };
    const { routes, by } = await stage.router.route(connect('a.test'));
    assert.deepEqual(routes, []);
    assert.ok(by.kind === 'pac');
    assert.deepEqual([by.ageMs, by.trouble], [undefined, 'no answer within 3 seconds']);
    assert.deepEqual(stage.notices, ['warn: the PAC from http://pac.test/ cannot be used: no answer within 3 seconds']);
  }),
);

test(
  'proxies of the system are taken by kind of request, but for its exceptions',
  withRouter(
    {
      at: 'system-proxies',
      proxies: { source: 'GNOME', http: 'http://plain:1', https: 'http://secure:2', noProxy: ['.corp.test'] },
    },
    async (stage) => {
      const { router } = stage;
      assert.deepEqual(ways(await router.route(connect('a.test'))), ['http://secure:2']);
      const plain = await router.route(get('http://a.test/'));
      assert.deepEqual([ways(plain), plain.by], [['http://plain:1'], { kind: 'system', source: 'GNOME' }]);
      const exception = await router.route(connect('x.corp.test'));
      assert.deepEqual([ways(exception), exception.by], [['direct'], { kind: 'no-proxy', entry: '.corp.test' }]);
      stage.state = {
        at: 'system-proxies',
        proxies: { source: 'KDE', http: undefined, https: 'gopher://a', noProxy: [] },
      };
      assert.deepEqual(ways(await router.route(get('http://a.test/'))), ['direct']);
      assert.throws(
        () => router.route(connect('a.test')),
        (error) => error instanceof ProxyError && error.code === 'no_route',
      );
    },
  ),
);

test(
  'a client that goes away ends the question with its own reason',
  withRouter(
    script('function FindProxyForURL(url, host) { while (host === "loop.test") {} return "DIRECT"; }'),
    async ({ router }) => {
      await router.route(connect('a.test'));
      const gone = new AbortController();
      const asked = router.route(connect('loop.test', 443, gone.signal));
      gone.abort(new ProxyError('client_gone', 'test'));
      await assert.rejects(Promise.resolve(asked), (error) => error === gone.signal.reason);
    },
  ),
);
