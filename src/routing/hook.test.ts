import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../contracts/failure.ts';
import type { AdmittedRequest } from '../contracts/stages.ts';
import { formatRoute } from '../protocol/routes/route-text.ts';
import { hookRouter, type RouteHook } from './hook.ts';

const FROM: AdmittedRequest = {
  request: {
    kind: 'tunnel',
    method: 'CONNECT',
    target: { host: 'a.example', port: 443 },
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

test('a hook returns one route, or a list in the order in which they are tried, with chains in it', async () => {
  const results: readonly (readonly [result: Awaited<ReturnType<RouteHook>>, expected: readonly string[]])[] = [
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
  for (const [result, expected] of results) {
    const { routes, by } = await hookRouter(async () => result).route(FROM);
    assert.deepEqual(routes.map(formatRoute), expected);
    assert.deepEqual(by, { kind: 'hook' });
  }
});

/** The result of a hook in JavaScript may have any type. */
const untyped =
  (result: unknown): RouteHook =>
  () =>
    JSON.parse(JSON.stringify({ result })).result;

test('a return value that is not a valid route fails with no_route, and says why', async () => {
  const wrong: readonly (readonly [result: unknown, detail: RegExp])[] = [
    ['proxy.corp:x', /^the route hook's result "proxy\.corp:x" names no proxy: the port is not a number/],
    [[], /^the route hook's result names no route/],
    [
      undefined,
      /^the route hook returned undefined, which is not a valid route; return 'direct', the URL of a proxy, or a list of them$/,
    ],
    [null, /^the route hook returned null/],
    [42, /^the route hook returned a number/],
    [
      { url: 'http://proxy.corp', from: '192.0.2.1' },
      /^the route hook's result: from beside url: .* terms stand beside via: \{ via: \{ url \}, from \}$/,
    ],
    [{ via: ['direct', { url: 'https://proxy.corp', TLS: {} }] }, /^the route hook's result: TLS beside url/],
    [[['direct', 7]], /^the route hook returned a number/],
    [
      'ftp://me:hunter2@proxy.corp',
      /^the route hook's result "ftp:\/\/•••@proxy\.corp" is not a supported kind of proxy/,
    ],
  ];
  for (const [result, detail] of wrong) {
    await assert.rejects(
      async () => hookRouter(untyped(result)).route(FROM),
      (error) => error instanceof ProxyError && error.code === 'no_route' && detail.test(error.detail),
      JSON.stringify(result),
    );
  }
});

test('a hook that throws fails with hook_failed; a ProxyError that it throws is passed on', async () => {
  const thrown = new Error('database is down');
  const failing = hookRouter(() => Promise.reject(thrown));
  await assert.rejects(async () => failing.route(FROM), {
    code: 'hook_failed',
    detail: 'route hook: database is down',
    cause: thrown,
  });
  const own = new ProxyError('denied', 'mine');
  await assert.rejects(
    async () => hookRouter(() => Promise.reject(own)).route(FROM),
    (error) => error === own,
  );
});

test('the same result is parsed once, and ever new results do not fill memory', async () => {
  let next = 0;
  const router = hookRouter(() => `http://user${next}:pw@proxy.corp:1`);
  const first = await router.route(FROM);
  assert.equal(await router.route(FROM), first);
  for (next = 1; next <= 1024; next++) await router.route(FROM);
  next = 0;
  assert.notEqual(await router.route(FROM), first, 'the oldest routing was dropped');
});
