/**
 * Upstream proxies that close or reset where they should answer a login: a login is tried again, and nothing goes past
 * it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AuthenticatingProxy,
  asks,
  BASIC,
  basicJudge,
  DigestJudge,
  type Judge,
  ntlmIn,
  ntlmJudge,
  type ReceivedRequest,
} from '../support/authenticating-proxy.ts';
import { ask, connect, get, post, statusOf } from '../support/authentication.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { proxyByRoutes } from '../support/routes-to.ts';

/** A 407 without a field that announces the end of its connection. */
const bare407 = (...challenges: string[]): string =>
  `HTTP/1.1 407 Who\r\n${challenges.map((one) => `Proxy-Authenticate: ${one}\r\n`).join('')}Content-Length: 0\r\n\r\n`;

const ENDINGS: readonly (readonly [how: string, end: (peer: RawPeer) => void])[] = [
  ['a FIN', (peer) => void peer.end()],
  ['a reset', (peer) => peer.reset()],
];

/** Ends every connection behind a 407 without a word about it; `challenges` instead of the judge's, empty page. */
function closing(judge: Judge, end: (peer: RawPeer) => void): Judge {
  return (request) => {
    const verdict = judge(request);
    if (!verdict.startsWith('HTTP/1.1 407')) return verdict;
    const challenges = [...verdict.matchAll(/^Proxy-Authenticate: (.*)\r$/gm)].map(([, challenge = '']) => challenge);
    setImmediate(end, request.peer);
    return bare407(...challenges);
  };
}

const wayTo = (upstream: AuthenticatingProxy, login = 'me:right'): string =>
  upstream.url.replace('http://', `http://${login}@`);
/** Beginnings of a login (Type 1) are none. */
const proofs = ({ requests }: AuthenticatingProxy, scheme: string): number =>
  requests.filter(({ credentials }) => credentials?.startsWith(scheme) && ntlmIn(credentials)?.type !== 1).length;

for (const [how, end] of ENDINGS) {
  for (const [scheme, judgeOf] of [
    ['Basic', () => basicJudge('me', 'right')],
    ['Digest', () => new DigestJudge('me', 'right').judge],
  ] as const) {
    test(
      `${scheme}: an upstream that ends every connection behind its 407 with ${how} is got through, and nothing goes direct`,
      leavesNothing(async () => {
        await using origin = await RawOrigin.listen(answering(() => ok('direct')));
        for (const request of [connect, get, post('hello')]) {
          await using upstream = await AuthenticatingProxy.listen(closing(judgeOf(), end));
          await using proxy = await proxyByRoutes([wayTo(upstream), 'direct']);
          const toOrigin = request.replaceAll(/far\.test(?::443)?/g, origin.authority);
          for (let n = 0; n < 3; n++) {
            const page = await ask(proxy.port, toOrigin);
            assert.match(page, request === connect ? /^HTTP\/1\.1 200 / : /served$/);
          }
        }
        assert.equal(origin.connections.length, 0);
      }),
    );
  }

  test(
    `NTLM: an upstream that ends the connection of its first 407 with ${how} is got through; one that ends each cannot be, and nothing goes direct`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(answering(() => ok('direct')));
      for (const request of [connect, get, post('hello')]) {
        const toOrigin = request.replaceAll(/far\.test(?::443)?/g, origin.authority);
        const ntlm = ntlmJudge();
        const first = closing(ntlm, end);
        await using kind = await AuthenticatingProxy.listen((asked) =>
          ntlmIn(asked.credentials) === undefined ? first(asked) : ntlm(asked),
        );
        await using proxy = await proxyByRoutes([wayTo(kind), 'direct']);
        assert.equal(statusOf(await ask(proxy.port, toOrigin)), 200);
        await using strict = await AuthenticatingProxy.listen(closing(ntlmJudge(), end));
        await using other = await proxyByRoutes([wayTo(strict), 'direct']);
        for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(other.port, toOrigin)), 502);
        assert.ok(proofs(strict, 'NTLM') <= 2, `${proofs(strict, 'NTLM')} proofs`);
        // A body follows a TRACE, whose answer has named the scheme by then.
        assert.equal(proofs(strict, 'Basic'), request.startsWith('POST') ? 0 : 1);
      }
      assert.equal(origin.connections.length, 0);
    }),
  );

  for (const [what, answer] of [
    ['nothing', ''],
    ['half a head', 'HTTP/1.1 200 OK\r\nX'],
    ['no HTTP', 'anything\r\n\r\n'],
  ] as const) {
    for (const [scheme, challenge] of [
      ['Basic', BASIC],
      ['Digest', 'Digest realm="corp", nonce="n", qop="auth"'],
    ] as const) {
      test(
        `${scheme}: an upstream that answers a proof with ${what} and ${how} gets two proofs of twenty requests, and nothing goes direct`,
        leavesNothing(async () => {
          await using origin = await RawOrigin.listen(answering(() => ok('direct')));
          for (const request of [connect, get]) {
            await using upstream = await AuthenticatingProxy.listen(({ credentials, peer }: ReceivedRequest) => {
              if (credentials === undefined) return asks(challenge);
              setImmediate(end, peer);
              return answer;
            });
            await using proxy = await proxyByRoutes([wayTo(upstream, 'me:wr0ng'), 'direct']);
            const toOrigin = request.replaceAll(/far\.test(?::443)?/g, origin.authority);
            let page = '';
            for (let n = 0; n < 10; n++) {
              page = await ask(proxy.port, toOrigin);
              assert.equal(statusOf(page), 502);
            }
            await Promise.all(Array.from({ length: 10 }, () => ask(proxy.port, toOrigin)));
            assert.match(page, /gave no clear response to the password of me/);
            assert.equal(proofs(upstream, scheme), 2);
            // What it takes was not known then.
            assert.equal(proofs(upstream, 'Basic'), scheme === 'Basic' ? 2 : 1);
          }
          assert.equal(origin.connections.length, 0);
        }),
      );
    }
  }
}

test(
  'a 407 with contradictory framing is the upstream proxy’s fault, and nothing goes direct',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    for (const framing of [
      'Content-Length: 1\r\nContent-Length: 2',
      'Content-Length: x',
      'Content-Length: 1\r\nTransfer-Encoding: gzip',
    ]) {
      await using upstream = await AuthenticatingProxy.listen(
        () => `HTTP/1.1 407 Who\r\nProxy-Authenticate: ${BASIC}\r\n${framing}\r\n\r\nx`,
      );
      await using proxy = await proxyByRoutes([wayTo(upstream), 'direct']);
      for (const request of [connect, get]) {
        const page = await ask(proxy.port, request.replaceAll(/far\.test(?::443)?/g, origin.authority));
        assert.match(page, /^HTTP\/1\.1 502 [\s\S]*upstream proxy/);
        assert.equal((await proxy.record()).failure, 'upstream_protocol');
      }
      // Unasked, with the first request of all.
      assert.equal(proofs(upstream, 'Basic'), 1);
    }
    assert.equal(origin.connections.length, 0);
  }),
);

/** What each answer of the slow upstream proxy takes: two of them fit into the 600 ms of the test. */
const ROUND_MS = 250;

test(
  'an authentication in slow rounds ends after timeouts.head in all',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen((peer) => {
      peer.socket.on('data', () => {
        const timer = setTimeout(
          () => peer.send(asks('Digest realm="corp", nonce="n", qop="auth", stale=true')),
          ROUND_MS,
        );
        peer.socket.once('close', () => clearTimeout(timer));
      });
      peer.socket.on('end', () => peer.end());
    });
    await using proxy = await proxyByRoutes([`http://me:right@${upstream.authority}`], { timeouts: { head: '600ms' } });
    const startedMs = performance.now();
    assert.match(await ask(proxy.port, connect), /^HTTP\/1\.1 50[24] /);
    assert.ok(performance.now() - startedMs < 3_000);
    const asked = upstream.connections.reduce((sum, { text }) => sum + text.split('CONNECT ').length - 1, 0);
    assert.ok(asked <= 4, `${asked} messages`);
  }),
);
