import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouteMode, Router } from '../contracts/routing.ts';
import type { AdmittedRequest, PacRouting, Routing } from '../contracts/stages.ts';
import { formatRoute, parseRoutes } from '../protocol/routes/route-text.ts';
import { atOnce } from '../util/slices.ts';
import { buildRouter } from './chain.ts';
import type { RoutesOptions } from './options.ts';

const NONE: RoutesOptions = {
  pac: 'none',
  unreachable: 'refuse',
  pacUnreachable: 'last-copy',
  rules: [],
  noProxy: [],
  proxy: [],
};
const by: PacRouting = { kind: 'pac', source: 's', ageMs: 5, result: 'x', failure: undefined, calls: [], ms: 0 };
const pacRouter = (routing: Routing): Router => ({ route: () => routing });

function requestFor(host: string, port = 443): AdmittedRequest {
  return {
    request: {
      kind: 'tunnel',
      method: 'CONNECT',
      target: { host, port },
      id: '1',
      protocol: 'http/1.1',
      credentials: undefined,
      headers: [],
      client: { address: '127.0.0.1', port: 1, listener: 'test' },
      signal: new AbortController().signal,
      startedMs: 0,
      requestTarget: 'a.test:443',
    },
    principal: { name: '', scheme: 'none' },
    decision: { verdict: 'allow', rule: 'test' },
    permit: { limits: [], [Symbol.dispose]() {} },
  };
}

async function decided(routes: Partial<RoutesOptions>, pac: Router | undefined, host: string) {
  const { routes: names, by } = await atOnce(buildRouter({ ...NONE, ...routes }, pac)).route(requestFor(host));
  return { names: names.map(formatRoute), by };
}

const proxy = parseRoutes(['http://a:1', 'direct'], 'user');
const rules = [{ name: 'corp', hosts: ['.corp'], via: parseRoutes('http://corp:1', 'user') }];

test('exceptions come before rules, rules before the PAC, the PAC before proxies', async () => {
  const pac = pacRouter({ routes: parseRoutes('PROXY p:1', 'pac'), by });
  const all = { noProxy: ['x.corp'], rules, proxy };
  assert.deepEqual(await decided(all, pac, 'x.corp'), { names: ['direct'], by: { kind: 'no-proxy', entry: 'x.corp' } });
  assert.deepEqual(await decided(all, pac, 'y.corp'), { names: ['http://corp:1'], by: { kind: 'rule', rule: 'corp' } });
  assert.deepEqual(await decided(all, pac, 'z.example'), { names: ['http://p:1'], by });
  assert.deepEqual(await decided(all, undefined, 'z.example'), {
    names: ['http://a:1', 'direct'],
    by: { kind: 'proxy' },
  });
  assert.deepEqual(await decided({}, undefined, 'z.example'), { names: ['direct'], by: { kind: 'default' } });
});

test('the router waits for a PAC that needs time', async () => {
  const pac: Router = { route: async () => ({ routes: parseRoutes('PROXY p:1', 'pac'), by }) };
  assert.deepEqual((await decided({}, pac, 'a')).names, ['http://p:1']);
});

test('without routes from the PAC the configured proxies are used, and the reason is kept', async () => {
  const failed = { ...by, result: undefined, failure: 'took longer than 1 s' };
  const pac = pacRouter({ routes: [], by: failed });
  assert.deepEqual(await decided({ proxy }, pac, 'a'), { names: ['http://a:1', 'direct'], by: failed });
});

test('a script that fails leaves no route: it may have required a proxy', async () => {
  const pac = pacRouter({ routes: [], by: { ...by, result: undefined, failure: 'throws' } });
  for (const pacUnreachable of ['direct', 'last-copy'] as const) {
    assert.deepEqual((await decided({ pacUnreachable }, pac, 'a')).names, []);
  }
});

test('a script that cannot be read leaves no route, or the direct one with pacUnreachable: direct', async () => {
  const pac = pacRouter({ routes: [], by: { ...by, ageMs: undefined, result: undefined, failure: 'no such host' } });
  assert.deepEqual((await decided({ pacUnreachable: 'last-copy' }, pac, 'a')).names, []);
  assert.deepEqual((await decided({ pacUnreachable: 'direct' }, pac, 'a')).names, ['direct']);
});

test('an unusable PAC leaves no route; the copy of an unreachable one gets a direct route behind its own', async () => {
  const gone = { ...by, ageMs: undefined, result: undefined, failure: 'status 503', failedAs: 'unusable' } as const;
  const unusable = pacRouter({ routes: [], by: gone });
  assert.deepEqual((await decided({ pacUnreachable: 'direct', unreachable: 'direct' }, unusable, 'a')).names, []);
  const named = parseRoutes('PROXY p:1', 'pac');
  const copy = pacRouter({ routes: named, by: { ...by, failedAs: 'unreachable' } });
  assert.deepEqual((await decided({ pacUnreachable: 'direct' }, copy, 'a')).names, ['http://p:1', 'direct']);
  assert.deepEqual((await decided({ pacUnreachable: 'last-copy' }, copy, 'a')).names, ['http://p:1']);
  const last = pacRouter({ routes: named, by: { ...by, result: undefined, failure: 'throws' } });
  assert.deepEqual((await decided({ unreachable: 'direct' }, last, 'a')).names, ['http://p:1'], 'its last routes');
});

test('a direct route is added behind proxies, unless one is named or port 0 blocks', async () => {
  const namesOf = async (text: string) =>
    (await decided({ unreachable: 'direct', proxy: parseRoutes(text, 'user') }, undefined, 'a')).names;
  assert.deepEqual(await namesOf('PROXY a:1; PROXY b:1'), ['http://a:1', 'http://b:1', 'direct']);
  assert.deepEqual(await namesOf('DIRECT; PROXY a:1'), ['direct', 'http://a:1']);
  assert.deepEqual(await namesOf('PROXY a:1; PROXY b:0'), ['http://a:1', 'http://b:0']);
});

test('where the system names no PAC the other settings apply', async () => {
  const pac = pacRouter({ routes: [], by: { kind: 'default' } });
  assert.deepEqual(await decided({}, pac, 'a'), { names: ['direct'], by: { kind: 'default' } });
  assert.deepEqual(await decided({ proxy }, pac, 'a'), { names: ['http://a:1', 'direct'], by: { kind: 'proxy' } });
});

test('equal decisions are the same object: none is made per request', async () => {
  const router = atOnce(buildRouter({ ...NONE, noProxy: ['.x'], rules, proxy }, undefined));
  for (const host of ['a.x', 'a.corp', 'a.example']) {
    assert.equal(await router.route(requestFor(host)), await router.route(requestFor(host)), host);
  }
});

test('a mode takes the place of the PAC and of the proxies; exceptions and rules hold', async () => {
  const pac = pacRouter({ routes: parseRoutes('PROXY p:1', 'pac'), by });
  const all = { ...NONE, noProxy: ['x.corp'], rules, proxy };
  const byMode = async (mode: RouteMode, host: string, router: Router | 'none' = pac, routes: RoutesOptions = all) => {
    const script = router === 'none' ? undefined : router;
    const { routes: names, by } = await atOnce(buildRouter(routes, script, () => mode)).route(requestFor(host));
    return [names.map(formatRoute).join(), by.kind];
  };
  for (const mode of ['pac', 'direct', 'proxy'] as const) {
    assert.deepEqual(await byMode(mode, 'x.corp'), ['direct', 'no-proxy']);
    assert.deepEqual(await byMode(mode, 'y.corp'), ['http://corp:1', 'rule']);
  }
  assert.deepEqual(await byMode('direct', 'z.example'), ['direct', 'mode']);
  assert.deepEqual(await byMode('proxy', 'z.example'), ['http://a:1,direct', 'mode']);
  assert.deepEqual(await byMode('pac', 'z.example'), ['http://p:1', 'pac']);
  // A PAC that fails has required what it would: the proxies are out of force, and nothing goes direct.
  const failed = pacRouter({ routes: [], by: { ...by, result: undefined, failure: 'throws' } });
  assert.deepEqual(await byMode('pac', 'z.example', failed), ['', 'pac']);
  // Nothing to switch to, as after a reload: as configured.
  assert.deepEqual(await byMode('proxy', 'z.example', pac, { ...all, proxy: [] }), ['http://p:1', 'pac']);
  assert.deepEqual(await byMode('pac', 'z.example', 'none'), ['http://a:1,direct', 'proxy']);
});
