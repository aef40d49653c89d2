/**
 * A body is sent once, to an upstream proxy that accepts the login; an authenticated connection serves the next
 * request.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AuthenticatingProxy,
  asks,
  basicJudge,
  DigestJudge,
  type Judge,
  ntlmIn,
  ntlmJudge,
} from '../support/authenticating-proxy.ts';
import { ask, get, post, proxyTo, statusOf } from '../support/authentication.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { ok } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { stoppedClock } from '../support/stopped-clock.ts';

const LOGIN = { password: 'right' } as const;
const IN_DOMAIN = { ...LOGIN, domain: 'CORP' } as const;

const CHUNKED =
  'POST http://far.test/x HTTP/1.1\r\nHost: far.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
const bodies = ({ requests }: AuthenticatingProxy): string[] => requests.map(({ method, body }) => `${method} ${body}`);

for (const [name, judge, login, first, second] of [
  ['Basic', () => basicJudge('me', 'right'), LOGIN, ['TRACE -', 'TRACE Basic', 'POST Basic'], ['POST Basic']],
  [
    'Digest',
    () => new DigestJudge('me', 'right').judge,
    LOGIN,
    ['TRACE -', 'TRACE Digest', 'POST Digest'],
    ['TRACE Digest', 'POST Digest'],
  ],
  ['NTLM', () => ntlmJudge(), IN_DOMAIN, ['TRACE -', 'TRACE NTLM', 'TRACE NTLM', 'POST -'], ['POST -']],
] as const) {
  test(
    `${name}: the first body waits for empty questions, and comes whole behind them`,
    leavesNothing(async () => {
      for (const request of [post('hello'), CHUNKED]) {
        await using upstream = await AuthenticatingProxy.listen(judge());
        await using proxy = await proxyTo(upstream, login);
        assert.match(await ask(proxy.port, request), /served$/);
        assert.deepEqual(upstream.transcript, first);
        assert.deepEqual(bodies(upstream), [...first.slice(0, -1).map(() => 'TRACE '), 'POST hello']);
        assert.ok(upstream.requests.slice(0, -1).every(({ fields }) => fields.get('max-forwards') === '0'));
        // No question has a target: what answers it is the upstream proxy.
        for (const { method, uri } of upstream.requests) {
          assert.equal(uri, method === 'TRACE' ? 'http://viaduct.invalid/' : 'http://far.test/x');
        }
        assert.match(await ask(proxy.port, request), /served$/);
        assert.deepEqual(upstream.transcript.slice(first.length), second);
      }
    }),
  );

  test(
    `${name}: an upstream proxy that refuses TRACE is asked by HEAD`,
    leavesNothing(async () => {
      const inner = judge();
      await using upstream = await AuthenticatingProxy.listen((request) =>
        request.method === 'TRACE' ? 'HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n' : inner(request),
      );
      await using proxy = await proxyTo(upstream, login);
      for (let n = 0; n < 2; n++) assert.match(await ask(proxy.port, post('hello')), /served$/);
      assert.deepEqual(
        upstream.transcript.filter((line) => line.startsWith('TRACE')),
        ['TRACE -'],
      );
      assert.equal(bodies(upstream).filter((line) => line === 'POST hello').length, 2);
    }),
  );
}

test(
  'a HEAD that an upstream proxy answers 407 has no body to wait for',
  leavesNothing(async () => {
    const basic = basicJudge('me', 'right');
    await using upstream = await AuthenticatingProxy.listen((request) => {
      if (request.method === 'TRACE') return 'HTTP/1.1 501 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno';
      return basic(request);
    });
    await using proxy = await proxyTo(upstream, LOGIN);
    assert.match(await ask(proxy.port, post('hello')), /served$/);
    assert.deepEqual(upstream.transcript, ['TRACE -', 'HEAD -', 'HEAD Basic', 'POST Basic']);
  }),
);

test(
  'an upstream proxy that asks for no login gets bodies at once: from the first where no account is known, else after a TRACE',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(() => 'let in');
    await using proxy = await proxyTo(upstream, LOGIN);
    for (let n = 0; n < 2; n++) assert.match(await ask(proxy.port, post('hello')), /served$/);
    assert.deepEqual(upstream.transcript, ['TRACE -', 'POST -', 'POST -']);
    await using anonymous = await ProxyUnderTest.start({ routes: { proxy: upstream.url } });
    assert.match(await ask(anonymous.port, post('hello')), /served$/);
    assert.deepEqual(upstream.transcript.slice(3), ['POST -']);
  }),
);

test(
  'an upstream proxy that begins to ask when a body is on its way: the 502 asks to send it again, and then it passes',
  leavesNothing(async () => {
    const basic = basicJudge('me', 'right');
    let isOpen = true;
    await using upstream = await AuthenticatingProxy.listen((request) => (isOpen ? 'let in' : basic(request)));
    await using proxy = await proxyTo(upstream, LOGIN);
    assert.equal(statusOf(await ask(proxy.port, get)), 200);
    isOpen = false;
    assert.match(await ask(proxy.port, post('hello')), /^HTTP\/1\.1 502 [\s\S]*send the request again/);
    assert.match(await ask(proxy.port, post('hello')), /served$/);
    assert.deepEqual(
      bodies(upstream).filter((line) => line.startsWith('POST')),
      ['POST hello', 'POST hello'],
    );
  }),
);

test(
  'Expect: the 100 comes from the far side, after the login was accepted, and never for a TRACE',
  leavesNothing(async () => {
    for (const [judge, login] of [
      [basicJudge('me', 'right'), LOGIN],
      [ntlmJudge(), IN_DOMAIN],
    ] as const) {
      const expecting: string[] = [];
      await using upstream = await AuthenticatingProxy.listen((request) => {
        expecting.push(`${request.method} ${request.fields.get('expect') ?? '-'}`);
        return judge(request);
      });
      // The upstream proxy judges whole requests, so a 100 has to be sent when the head is there.
      await using proxy = await proxyTo(upstream, login);
      using client = await proxy.client();
      client.send(post('', 'Expect: 100-continue').replace('Content-Length: 0', 'Content-Length: 5'));
      const peer = await upstream.origin.connection(login === LOGIN ? 0 : 1);
      await peer.until('POST http://far.test/x');
      assert.equal(client.text, '');
      peer.send('HTTP/1.1 100 Continue\r\n\r\n');
      assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 100 /);
      client.send('hello');
      assert.match(await client.until('served'), /HTTP\/1\.1 200 /);
      assert.deepEqual(new Set(expecting.slice(0, -1)), new Set(['TRACE -']));
      assert.equal(expecting.at(-1), 'POST 100-continue');
    }
  }),
);

test(
  'NTLM: a hundred requests one after the other, POSTs among them, log on one connection',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(ntlmJudge());
    // Time stands still: a POST takes no connection that has been idle for two seconds.
    await using proxy = await proxyTo(upstream, IN_DOMAIN, stoppedClock);
    for (let n = 0; n < 100; n++) assert.match(await ask(proxy.port, n % 3 === 0 ? post('hello') : get), /served$/);
    assert.equal(upstream.requests.filter(({ credentials }) => ntlmIn(credentials)?.type === 3).length, 1);
    assert.equal(upstream.origin.connections.length, 2);
  }),
);

test(
  'NTLM: a connection that is asked again logs on anew, on another one',
  leavesNothing(async () => {
    const ntlm = ntlmJudge();
    let forgets = false;
    await using upstream = await AuthenticatingProxy.listen((request) => {
      if (forgets && request.credentials === undefined) {
        forgets = false;
        return asks('NTLM');
      }
      return ntlm(request);
    });
    await using proxy = await proxyTo(upstream, IN_DOMAIN);
    for (let n = 0; n < 2; n++) assert.match(await ask(proxy.port, get), /served$/);
    forgets = true;
    for (let n = 0; n < 2; n++) assert.match(await ask(proxy.port, get), /served$/);
    assert.equal(upstream.requests.filter(({ credentials }) => ntlmIn(credentials)?.type === 3).length, 2);
    assert.equal(upstream.origin.connections.length, 3);
  }),
);

test(
  'NTLM: a client that logs on at the origin itself has the connection for itself',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(ntlmJudge());
    await using proxy = await proxyTo(upstream, IN_DOMAIN);
    assert.match(await ask(proxy.port, get), /served$/);
    assert.match(await ask(proxy.port, get.replace(/\r\n$/, 'Authorization: NTLM TlRM\r\n\r\n')), /served$/);
    assert.match(await ask(proxy.port, get), /served$/);
    const own = upstream.requests.findIndex(({ fields }) => fields.has('authorization'));
    assert.ok(upstream.requests.slice(own + 1).every(({ peer }) => peer !== upstream.requests[own]?.peer));
    assert.equal(upstream.requests.at(-1)?.method, 'GET');
  }),
);

test(
  'NTLM: an upstream proxy that lets a request pass without a proof gets no second one over that connection',
  leavesNothing(async () => {
    const ntlm = ntlmJudge();
    const judge: Judge = (request) => (request.uri.includes('free.test') ? 'let in' : ntlm(request));
    await using upstream = await AuthenticatingProxy.listen(judge);
    await using proxy = await proxyTo(upstream, IN_DOMAIN);
    assert.match(await ask(proxy.port, get), /served$/);
    // The authenticated connection is busy when the next request comes.
    const upgrade = get
      .replaceAll('far.test', 'free.test')
      .replace(/\r\n$/, 'Connection: Upgrade\r\nUpgrade: x\r\n\r\n');
    assert.match(await ask(proxy.port, upgrade), /served$/);
    const begun = upstream.requests.at(-1);
    assert.equal(ntlmIn(begun?.credentials)?.type, 1);
    for (let n = 0; n < 3; n++) assert.match(await ask(proxy.port, get), /served$/);
    assert.equal(upstream.requests.filter(({ peer }) => peer === begun?.peer).length, 1);
  }),
);

test(
  'Digest: what the upstream proxy sends about it in its responses is not passed on, and its next nonce is used',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(
      ({ credentials }) =>
        credentials === undefined ? asks('Digest realm="corp", nonce="one", qop="auth"') : 'let in',
      () => ok('served', 'Proxy-Authentication-Info: nextnonce="two"'),
    );
    await using proxy = await proxyTo(upstream, LOGIN);
    for (let n = 0; n < 2; n++) assert.doesNotMatch(await ask(proxy.port, get), /nextnonce|Authentication-Info/i);
    const said = upstream.requests.map(({ credentials }) =>
      /nonce="(\w+)".*nc=0*(\d+)/.exec(credentials ?? '')?.slice(1),
    );
    assert.deepEqual(said, [undefined, undefined, ['one', '1'], ['one', '2'], ['two', '1']]);
  }),
);

test(
  'Digest: 50 uploads at once, each number once',
  leavesNothing(async () => {
    const digest = new DigestJudge('me', 'right');
    await using upstream = await AuthenticatingProxy.listen(digest.judge);
    await using proxy = await proxyTo(upstream, LOGIN);
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(proxy.port, post('hello'))));
    for (const answer of answers) assert.match(answer, /served$/);
    assert.equal(digest.wrong, 0);
    assert.equal(bodies(upstream).filter((line) => line === 'POST hello').length, 50);
  }),
);

test(
  'Basic: a password that changes at the upstream proxy while bodies are on their way is confirmed to be rejected, and then not sent',
  leavesNothing(async () => {
    let right = 'right';
    await using upstream = await AuthenticatingProxy.listen((request) => basicJudge('me', right)(request));
    await using proxy = await proxyTo(upstream, LOGIN);
    assert.match(await ask(proxy.port, post('hello')), /served$/);
    right = 'changed';
    for (let n = 0; n < 3; n++) {
      assert.match(await ask(proxy.port, post('hello')), /^HTTP\/1\.1 502 [\s\S]*has rejected the password of me/);
    }
    // With the body, and once more with a question that only the proxy itself can answer.
    const wrong = upstream.requests
      .slice(3)
      .flatMap(({ credentials, method }) => (credentials === undefined ? [] : [method]));
    assert.deepEqual(wrong, ['POST', 'TRACE']);
  }),
);
