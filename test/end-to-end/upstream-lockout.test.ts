/** No behaviour of upstream proxies and their targets locks an account or makes a user wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/util/clock.ts';
import {
  AuthenticatingProxy,
  asks,
  BASIC,
  basicJudge,
  type Judge,
  ntlmIn,
  ntlmJudge,
  type ReceivedRequest,
} from '../support/authenticating-proxy.ts';
import { ask, proxyTo, statusOf } from '../support/authentication.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest, testCredentialSources } from '../support/proxy-under-test.ts';
import { proxyByRoutes } from '../support/routes-to.ts';

const connectTo = (host: string): string => `CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\n\r\n`;
const getOf = (host: string): string => `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const proofs = (upstreamProxies: readonly AuthenticatingProxy[]): number =>
  upstreamProxies
    .flatMap(({ requests }) => requests)
    .filter(({ credentials }) => credentials !== undefined && ntlmIn(credentials)?.type !== 1).length;

/** A proxy that sends the hosts `n0.test`, `n1.test`, … to these upstream proxies, as a balancing PAC does. */
function balanced(proxies: readonly string[], password: string): Promise<ProxyUnderTest> {
  const rules = proxies.map((via, n) => ({ hosts: [`n${n}.test`], via }));
  return ProxyUnderTest.start(
    { credentials: { default: { user: 'me', domain: 'CORP', from: 'env:PW' } }, routes: { rules } },
    { credentials: testCredentialSources(systemClock, { PW: password }) },
  );
}

for (const [scheme, judgeOf] of [
  ['Basic', (): Judge => () => asks(BASIC)],
  ['NTLM', () => ntlmJudge({ verdict: 'wrong' })],
] as const) {
  for (const [when, all] of [
    [
      'one after the other',
      async (tasks: readonly (() => Promise<string>)[]) => {
        const pages: string[] = [];
        for (const task of tasks) pages.push(await task());
        return pages;
      },
    ],
    ['at once', (tasks: readonly (() => Promise<string>)[]) => Promise.all(tasks.map((task) => task()))],
  ] as const) {
    test(
      `${scheme}: a PAC that spreads requests over twelve ports sends a wrong password to two of them, ${when}`,
      leavesNothing(async () => {
        const upstreamProxies = await Promise.all(
          Array.from({ length: 12 }, () => AuthenticatingProxy.listen(judgeOf())),
        );
        await using _all = {
          [Symbol.asyncDispose]: async () =>
            void (await Promise.all(upstreamProxies.map((one) => one[Symbol.asyncDispose]()))),
        };
        await using proxy = await balanced(
          upstreamProxies.map(({ origin }) => `PROXY ${origin.authority}`),
          'wr0ng',
        );
        const tasks = [connectTo, getOf].flatMap((request) =>
          upstreamProxies.map((_, n) => () => ask(proxy.port, request(`n${n}.test`))),
        );
        for (const page of await all(tasks)) assert.match(page, /^HTTP\/1\.1 502 [\s\S]*the password of CORP/);
        assert.equal(proofs(upstreamProxies), 2);
      }),
    );
  }
}

test(
  'one upstream proxy in many spellings is one: a wrong password is sent to it once for each of its names',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(() => asks(BASIC));
    const { port } = upstream.origin;
    const spellings = [
      '127.0.0.1',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[0:0:0:0:0:ffff:7f00:1]',
      '[::FFFF:127.0.0.1]',
    ];
    await using proxy = await balanced(
      spellings.map((host) => `PROXY ${host}:${port}`),
      'wr0ng',
    );
    for (let n = 0; n < spellings.length; n++) {
      assert.match(await ask(proxy.port, connectTo(`n${n}.test`)), /^HTTP\/1\.1 502 [\s\S]*has rejected the password/);
    }
    assert.equal(proofs([upstream]), 1);
    await using named = await balanced(
      ['localhost', 'LOCALHOST', 'localhost.', 'LocalHost'].map((host) => `PROXY ${host}:${port}`),
      'wr0ng',
    );
    for (let n = 0; n < 4; n++) assert.equal(statusOf(await ask(named.port, connectTo(`n${n}.test`))), 502);
    assert.equal(proofs([upstream]), 2);
  }),
);

for (const dead of [1, 3, 5]) {
  for (const [scheme, judgeOf, login] of [
    ['Basic', () => basicJudge('me', 'right'), { password: 'right' }],
    ['NTLM', () => ntlmJudge(), { password: 'right', domain: 'CORP' }],
  ] as const) {
    test(
      `${scheme}: ${dead} dead targets at the start do not hold up the login of all others`,
      leavesNothing(async () => {
        const judge = judgeOf();
        // A dead target: the upstream proxy has accepted the login and sends nothing until it gives up.
        await using upstream = await AuthenticatingProxy.listen((request: ReceivedRequest) => {
          const verdict = judge(request);
          return verdict === 'let in' && request.method === 'CONNECT' && request.uri.startsWith('dead') ? '' : verdict;
        });
        await using proxy = await proxyTo(upstream, login);
        const leaving: Disposable[] = [];
        for (let n = 0; n < dead; n++) {
          const client = await proxy.client();
          leaving.push(client);
          client.send(connectTo(`dead${n}.test`));
        }
        await proxy.when(({ events }) => events.filter(({ type }) => type === 'routed').length >= dead);
        const startedMs = performance.now();
        const pages = await Promise.all(
          [connectTo('a.test'), getOf('b.test'), connectTo('c.test')].map((one) => ask(proxy.port, one)),
        );
        assert.deepEqual(pages.map(statusOf), [200, 200, 200]);
        const ms = performance.now() - startedMs;
        // One second until the proxy itself is asked; it was ten for each dead target.
        assert.ok(ms < 5_000, `${ms} ms`);
        for (const client of leaving) client[Symbol.dispose]();
      }),
    );
  }
}

test(
  'a SOCKS5 server that wants what was not offered is refused, and nothing goes direct',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    for (const [login, method] of [
      ['', 2],
      ['', 1],
      ['me:pw@', 1],
      ['me:pw@', 255],
      ['', 255],
    ] as const) {
      await using socks = await RawOrigin.listen((peer) => {
        peer.socket.once('data', () => peer.send(Buffer.from([5, method])));
        peer.socket.on('end', () => peer.end());
      });
      await using proxy = await proxyByRoutes([`socks5://${login}${socks.authority}`, 'direct']);
      const request = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`;
      for (const one of [request, connectTo('far.test')]) {
        assert.equal(statusOf(await ask(proxy.port, one)), 502);
        assert.equal((await proxy.record()).failure, 'upstream_auth_failed');
      }
    }
    assert.equal(origin.connections.length, 0);
  }),
);

test(
  'a SOCKS5 server that closes behind a login is not passed over',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    await using socks = await RawOrigin.listen((peer) => {
      peer.socket.once('data', () => {
        peer.send(Buffer.from([5, 2]));
        peer.socket.once('data', () => peer.end());
      });
    });
    await using proxy = await proxyByRoutes([`socks5://me:pw@${socks.authority}`, 'direct']);
    const request = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`;
    for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, request)), 502);
    assert.equal(origin.connections.length, 0);
  }),
);
