/**
 * A 407 to a plain request may come from the target: it does not mean that the upstream proxy rejects the login of this
 * proxy.
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
  ntlmJudge,
  type ReceivedRequest,
} from '../support/authenticating-proxy.ts';
import { ask, assertNoSecretLeaks, connect, get, post, proxyTo, statusOf } from '../support/authentication.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';

const LOGIN = { password: 'right' } as const;
const IN_DOMAIN = { password: 'right', domain: 'CORP' } as const;
const evilGet = get.replaceAll('far.test', 'evil.test');
const evilPost = post('hello').replaceAll('far.test', 'evil.test');
const evilDelete = evilGet.replace('GET', 'DELETE');

/** What a hostile origin may send. */
const EVIL: readonly (readonly [what: string, answer: string])[] = [
  ['without a challenge', asks()],
  ['with a Basic challenge', asks(BASIC)],
  ['with a stale nonce', asks('Digest realm="corp", nonce="evil", qop="auth", stale=true')],
  ['with every challenge', asks('Negotiate', 'NTLM', 'Digest realm="x", nonce="y"', BASIC)],
  ['without a length', 'HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM\r\n\r\nwho?'],
];

/**
 * A proxy that requires authentication, and passes on what evil.test answers: 407 to everything. TRACE stays at the
 * proxy.
 */
const passingOn =
  (judge: Judge, evil: string): Judge =>
  (request) => {
    const verdict = judge(request);
    const isOrigins = request.uri.includes('evil.test') && !['TRACE', 'CONNECT'].includes(request.method);
    return verdict === 'let in' && isOrigins ? evil : verdict;
  };

for (const [scheme, judgeOf, login] of [
  ['Basic', () => basicJudge('me', 'right'), LOGIN],
  ['Digest', () => new DigestJudge('me', 'right').judge, LOGIN],
  ['Digest with nonces for one use', () => new DigestJudge('me', 'right', 1).judge, LOGIN],
  ['NTLM', () => ntlmJudge(), IN_DOMAIN],
] as const) {
  for (const [what, evil] of EVIL) {
    test(
      `${scheme}: a 407 of a target ${what} costs that request, and no other`,
      leavesNothing(async () => {
        await using upstream = await AuthenticatingProxy.listen(passingOn(judgeOf(), evil));
        await using proxy = await proxyTo(upstream, login);
        // Also as the very first request, before anything was accepted.
        for (const request of [evilGet, connect, evilGet, evilPost, evilDelete, evilGet]) {
          const page = await ask(proxy.port, request);
          assert.equal(statusOf(page), request === connect ? 200 : 502, page);
          // A body cannot be sent again to find out: where the proxy asks each connection anew it may have been its own
          // 407.
          // Where each nonce is good for one use, a target that calls every nonce stale looks like a proxy that does.
          const isAmbiguous = request === evilPost || (what === 'with a stale nonce' && scheme.endsWith('one use'));
          const why = isAmbiguous ? /^HTTP\/1\.1 502 / : /It responded with 407 \(Proxy Auth/;
          if (request !== connect) assert.match(page, why);
          assert.doesNotMatch(page, /Proxy-Authenticate/i);
          assertNoSecretLeaks(proxy, 'right', page);
        }
        for (let n = 0; n < 6; n++) assert.match(await ask(proxy.port, connect), /^HTTP\/1\.1 200 /);
        for (const request of [get, post('hello')]) assert.match(await ask(proxy.port, request), /^HTTP\/1\.1 200 /);
      }),
    );
  }
}

for (const [what, evil] of EVIL) {
  for (const [trace, answer] of [
    ['passes TRACE', 'let in'],
    ['refuses TRACE', 'HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n'],
    ['does not understand TRACE', 'garbage\r\n\r\n'],
  ] as const) {
    test(
      `a proxy that asks for nothing and ${trace}: a 407 of a target ${what} gets no password`,
      leavesNothing(async () => {
        await using upstream = await AuthenticatingProxy.listen((request) => {
          if (request.method === 'TRACE') return answer;
          return request.uri.includes('evil.test') && request.method !== 'CONNECT' ? evil : 'let in';
        });
        for (const login of [LOGIN, IN_DOMAIN]) {
          await using proxy = await proxyTo(upstream, login);
          for (const request of [evilGet, evilPost, evilDelete, evilGet]) {
            assert.match(await ask(proxy.port, request), /^HTTP\/1\.1 502 [\s\S]*It responded with 407/);
          }
          for (const request of [get, post('hello'), connect])
            assert.equal(statusOf(await ask(proxy.port, request)), 200);
        }
        assert.ok(upstream.requests.every(({ credentials }) => credentials === undefined));
      }),
    );
  }
}

test(
  'no 407 of an origin is passed on to a client, with or without a challenge, directly or through SOCKS',
  leavesNothing(async () => {
    for (const [, evil] of EVIL) {
      await using origin = await RawOrigin.listen((peer) =>
        peer.socket.on('data', () => {
          peer.send(evil);
          if (!evil.includes('Content-Length')) peer.end();
        }),
      );
      await using proxy = await ProxyUnderTest.start({});
      const { authority } = origin;
      for (const request of [get, post('hello')]) {
        const page = await ask(proxy.port, request.replaceAll('far.test', authority));
        assert.match(page, /^HTTP\/1\.1 502 [\s\S]*It responded with 407 \(Proxy Authentication Required\)/);
        assert.doesNotMatch(page, /Proxy-Authenticate/i);
        assert.equal((await proxy.record()).failure, 'origin_protocol');
      }
    }
  }),
);

test(
  'a password that has changed is confirmed by the proxy itself, and then not sent any more',
  leavesNothing(async () => {
    let right = 'right';
    await using upstream = await AuthenticatingProxy.listen((request: ReceivedRequest) =>
      basicJudge('me', right)(request),
    );
    await using proxy = await proxyTo(upstream, LOGIN);
    assert.equal(statusOf(await ask(proxy.port, get)), 200);
    right = 'changed';
    const before = upstream.requests.length;
    for (let n = 0; n < 5; n++)
      assert.match(await ask(proxy.port, get), /^HTTP\/1\.1 502 [\s\S]*has rejected the password/);
    const wrong = upstream.requests.slice(before).filter(({ credentials }) => credentials !== undefined);
    assert.deepEqual(
      wrong.map(({ method, fields }) => `${method} ${fields.get('max-forwards') ?? '-'}`),
      ['GET -', 'TRACE 0'],
    );
  }),
);
