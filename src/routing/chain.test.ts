import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Router } from '../core/contracts.ts';
import type { Admitted, PacRouting, Routing } from '../core/stages.ts';
import { formatRoute, parseRoutes } from '../protocol/route-text.ts';
import { routerOf } from './chain.ts';
import type { RoutesOptions } from './options.ts';

const NONE: RoutesOptions = { pac: 'none', pacUnreachable: 'last-copy', rules: [], noProxy: [], proxy: [] };
const by: PacRouting = { kind: 'pac', source: 's', ageMs: 5, answer: 'x', trouble: undefined, calls: [], ms: 0 };
const pacSays = (routing: Routing): Router => ({ route: () => routing });

function asked(host: string, port = 443): Admitted {
  return {
    request: {
      kind: 'tunnel',
      method: 'CONNECT',
      target: { host, port },
      id: '1',
      version: '1.1',
      headers: [],
      client: { address: '127.0.0.1', port: 1, listener: 'test' },
      signal: new AbortController().signal,
      startedMs: 0,
    },
    principal: { name: '', scheme: 'none' },
    decision: { verdict: 'allow', rule: 'test' },
    permit: { limits: [], [Symbol.dispose]() {} },
  };
}

async function decided(routes: Partial<RoutesOptions>, pac: Router | undefined, host: string) {
  const { routes: ways, by } = await routerOf({ ...NONE, ...routes }, pac).route(asked(host));
  return { ways: ways.map(formatRoute), by };
}

const proxy = parseRoutes(['http://a:1', 'direct'], 'user');
const rules = [{ name: 'corp', hosts: ['.corp'], via: parseRoutes('http://corp:1', 'user') }];

test('exceptions come before rules, rules before the PAC, the PAC before proxies', async () => {
  const pac = pacSays({ routes: parseRoutes('PROXY p:1', 'pac'), by });
  const all = { noProxy: ['x.corp'], rules, proxy };
  assert.deepEqual(await decided(all, pac, 'x.corp'), { ways: ['direct'], by: { kind: 'no-proxy', entry: 'x.corp' } });
  assert.deepEqual(await decided(all, pac, 'y.corp'), { ways: ['http://corp:1'], by: { kind: 'rule', rule: 'corp' } });
  assert.deepEqual(await decided(all, pac, 'z.example'), { ways: ['http://p:1'], by });
  assert.deepEqual(await decided(all, undefined, 'z.example'), {
    ways: ['http://a:1', 'direct'],
    by: { kind: 'proxy' },
  });
  assert.deepEqual(await decided({}, undefined, 'z.example'), { ways: ['direct'], by: { kind: 'default' } });
});

test('a PAC that is asked and needs time is waited for', async () => {
  const pac: Router = { route: async () => ({ routes: parseRoutes('PROXY p:1', 'pac'), by }) };
  assert.deepEqual((await decided({}, pac, 'a')).ways, ['http://p:1']);
});

test('without an answer of the PAC the configured proxies decide, and the reason stays', async () => {
  const failed = { ...by, answer: undefined, trouble: 'took longer than 1 s' };
  const pac = pacSays({ routes: [], by: failed });
  assert.deepEqual(await decided({ proxy }, pac, 'a'), { ways: ['http://a:1', 'direct'], by: failed });
});

test('a script that fails lets requests go direct, as browsers do', async () => {
  const pac = pacSays({ routes: [], by: { ...by, answer: undefined, trouble: 'throws' } });
  assert.deepEqual((await decided({}, pac, 'a')).ways, ['direct']);
});

test('a script that is not there leaves no way, or the direct one when the user said so', async () => {
  const pac = pacSays({ routes: [], by: { ...by, ageMs: undefined, answer: undefined, trouble: 'no such host' } });
  assert.deepEqual((await decided({ pacUnreachable: 'last-copy' }, pac, 'a')).ways, []);
  assert.deepEqual((await decided({ pacUnreachable: 'direct' }, pac, 'a')).ways, ['direct']);
});

test('where the system names no PAC nothing is in the way of the rest', async () => {
  const pac = pacSays({ routes: [], by: { kind: 'default' } });
  assert.deepEqual(await decided({}, pac, 'a'), { ways: ['direct'], by: { kind: 'default' } });
  assert.deepEqual(await decided({ proxy }, pac, 'a'), { ways: ['http://a:1', 'direct'], by: { kind: 'proxy' } });
});

test('decisions that are the same are the same object: nothing is made per request', async () => {
  const router = routerOf({ ...NONE, noProxy: ['.x'], rules, proxy }, undefined);
  for (const host of ['a.x', 'a.corp', 'a.example']) {
    assert.equal(await router.route(asked(host)), await router.route(asked(host)), host);
  }
});
