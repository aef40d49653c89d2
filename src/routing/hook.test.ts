import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../core/failure.ts';
import type { Admitted } from '../core/stages.ts';
import { formatRoute } from '../protocol/route-text.ts';
import { hookRouter, type RouteHook } from './hook.ts';

const FROM: Admitted = {
  request: {
    kind: 'tunnel',
    method: 'CONNECT',
    target: { host: 'a.example', port: 443 },
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

test('a hook answers with one way, or with a list in the order of trying, chains in it', async () => {
  const answers: readonly (readonly [answer: Awaited<ReturnType<RouteHook>>, ways: readonly string[]])[] = [
    ['direct', ['direct']],
    ['http://proxy.corp:8080', ['http://proxy.corp:8080']],
    [new URL('socks5://proxy.corp:1080'), ['socks5://proxy.corp:1080']],
    [
      ['http://proxy.corp:8080', 'direct'],
      ['http://proxy.corp:8080', 'direct'],
    ],
    [
      [['https://parent.corp', new URL('socks5://behind.corp:1')], 'direct'],
      ['https://parent.corp:443 -> socks5://behind.corp:1', 'direct'],
    ],
  ];
  for (const [answer, ways] of answers) {
    const { routes, by } = await hookRouter(async () => answer).route(FROM);
    assert.deepEqual(routes.map(formatRoute), ways);
    assert.deepEqual(by, { kind: 'hook' });
  }
});

/** A program in JavaScript is held by no type: what it answers arrives like this. */
const untyped =
  (answer: unknown): RouteHook =>
  () =>
    JSON.parse(JSON.stringify({ answer })).answer;

test('an answer that is no way is no route, with a reason for the log', async () => {
  const wrong: readonly (readonly [answer: unknown, detail: RegExp])[] = [
    ['proxy.corp:x', /^the route hook's answer "proxy\.corp:x" names no proxy: port is not a number/],
    [[], /^the route hook's answer names no way/],
    [undefined, /^the route hook answered undefined, which is no way$/],
    [null, /^the route hook answered null/],
    [42, /^the route hook answered a number/],
    [[['direct', 7]], /^the route hook answered a number/],
    ['ftp://me:hunter2@proxy.corp', /^the route hook's answer "ftp:\/\/•••@proxy\.corp" is no kind of proxy/],
  ];
  for (const [answer, detail] of wrong) {
    await assert.rejects(
      async () => hookRouter(untyped(answer)).route(FROM),
      (error) => error instanceof ProxyError && error.code === 'no_route' && detail.test(error.detail),
      JSON.stringify(answer),
    );
  }
});

test('a hook that throws leaves no route, and a ProxyError of its own is kept', async () => {
  const thrown = new Error('database is down');
  const failing = hookRouter(() => Promise.reject(thrown));
  await assert.rejects(async () => failing.route(FROM), { code: 'no_route', cause: thrown });
  const own = new ProxyError('denied', 'mine');
  await assert.rejects(
    async () => hookRouter(() => Promise.reject(own)).route(FROM),
    (error) => error === own,
  );
});

test('the same answer is read once, and answers without end do not fill memory', async () => {
  let next = 0;
  const router = hookRouter(() => `http://user${next}:pw@proxy.corp:1`);
  const first = await router.route(FROM);
  assert.equal(await router.route(FROM), first);
  for (next = 1; next <= 1024; next++) await router.route(FROM);
  next = 0;
  assert.notEqual(await router.route(FROM), first, 'the oldest answer was forgotten');
});
