import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProxy } from '../../src/index.ts';
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
import { ask, assertNoSecretLeaks, connect, get, post, statusOf } from '../support/authentication.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';

const PASSWORD = 'hunter2';
const AT_ONCE = { scheme: 'basic', preemptive: true } as const;
const urlOf = ({ origin }: AuthenticatingProxy, login: string): string => `http://${login}@${origin.authority}`;
const proofs = ({ requests }: AuthenticatingProxy): readonly ReceivedRequest[] =>
  requests.filter(({ credentials }) => credentials);
const userOf = ({ credentials = '' }: ReceivedRequest): string =>
  Buffer.from(credentials.replace('Basic ', ''), 'base64').toString().replace(/:.*/, '');

for (const [what, request] of [
  ['a CONNECT', connect],
  ['a GET', get],
] as const) {
  test(
    `with preemptive Basic ${what} carries the login before the proxy has asked, and costs one request`,
    leavesNothing(async () => {
      await using upstream = await AuthenticatingProxy.listen(basicJudge('me', PASSWORD));
      await using proxy = await ProxyUnderTest.start({
        routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) },
        upstreams: [{ host: '*', auth: AT_ONCE }],
      });
      assert.equal(statusOf(await ask(proxy.port, request)), 200);
      assert.deepEqual(upstream.transcript, [`${request.split(' ')[0]} Basic`]);
      assertNoSecretLeaks(proxy, PASSWORD);
    }),
  );
}

test(
  'with preemptive Basic a body goes behind a question that the proxy answers itself, and without a latch at once',
  leavesNothing(async () => {
    for (const [latch, expected] of [
      [true, ['TRACE -', 'TRACE Basic', 'POST Basic']],
      [false, ['POST Basic']],
    ] as const) {
      await using upstream = await AuthenticatingProxy.listen(basicJudge('me', PASSWORD));
      await using proxy = await ProxyUnderTest.start({
        routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) },
        upstreams: [{ host: '*', auth: { ...AT_ONCE, latch } }],
      });
      assert.equal(statusOf(await ask(proxy.port, post('body'))), 200);
      assert.deepEqual(upstream.transcript, expected);
    }
  }),
);

test(
  'a login in the URL of a proxy on this machine goes with the first request, unless its entry says otherwise',
  leavesNothing(async () => {
    for (const [auth, expected] of [
      [{}, ['CONNECT Basic', 'CONNECT Basic', 'GET Basic', 'POST Basic']],
      [{ preemptive: false }, ['CONNECT -', 'CONNECT Basic', 'CONNECT Basic', 'GET Basic', 'POST Basic']],
    ] as const) {
      await using upstream = await AuthenticatingProxy.listen(basicJudge('me', PASSWORD));
      await using proxy = await ProxyUnderTest.start({
        routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) },
        upstreams: [{ host: '127.0.0.1', auth }],
      });
      for (const request of [connect, connect, get, post('body')]) {
        assert.equal(statusOf(await ask(proxy.port, request)), 200);
      }
      assert.deepEqual(upstream.transcript, expected);
    }
  }),
);

test(
  'a body to a proxy on this machine goes behind a question that says first what the proxy wants',
  leavesNothing(async () => {
    const digest = new DigestJudge('me', PASSWORD);
    for (const [judge, expected] of [
      [basicJudge('me', PASSWORD), ['TRACE -', 'TRACE Basic', 'POST Basic']],
      [digest.judge, ['TRACE -', 'TRACE Digest', 'POST Digest']],
    ] as const) {
      await using upstream = await AuthenticatingProxy.listen(judge);
      await using proxy = await ProxyUnderTest.start({ routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) } });
      assert.equal(statusOf(await ask(proxy.port, post('body'))), 200);
      assert.deepEqual(upstream.transcript, expected);
    }
  }),
);

/** Ends the connection without a response when it gets a Basic login that it has not asked for. */
const closingAtBasic =
  (judge: Judge, end: (peer: RawPeer) => void): Judge =>
  (request) => {
    if (!request.credentials?.startsWith('Basic')) return judge(request);
    setImmediate(end, request.peer);
    return '';
  };
const answeringBasic =
  (judge: Judge, answer: string): Judge =>
  (request) =>
    request.credentials?.startsWith('Basic') ? answer : judge(request);
const FORBIDDEN = 'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n';

for (const [scheme, judgeOf] of [
  ['Digest', () => new DigestJudge('me', PASSWORD).judge],
  ['NTLM', () => ntlmJudge()],
] as const) {
  for (const [how, judge] of [
    ['asks for something else at', judgeOf],
    ['closes at', () => closingAtBasic(judgeOf(), (peer) => void peer.end())],
    ['resets at', () => closingAtBasic(judgeOf(), (peer) => peer.reset())],
  ] as const) {
    test(
      `a proxy on this machine that wants ${scheme} and ${how} Basic gets it unasked once, and lets the same request in`,
      leavesNothing(async () => {
        for (const request of [connect, get, post('body')]) {
          await using upstream = await AuthenticatingProxy.listen(judge());
          await using proxy = await ProxyUnderTest.start({ routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) } });
          for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, request)), 200);
          const inBasic = upstream.transcript.filter((line) => line.endsWith(' Basic')).length;
          assert.equal(inBasic, request === connect || request === get ? 1 : 0);
          // No doubt is left behind, in which a question would go first.
          if (request === connect)
            assert.ok(!upstream.transcript.some((line) => line.startsWith('TRACE')), upstream.transcript.join());
        }
      }),
    );
  }

  for (const [how, answer] of [
    ['garbage', 'anything\r\n\r\n'],
    ['a refusal', FORBIDDEN],
  ] as const) {
    test(
      `a proxy on this machine that wants ${scheme} and answers Basic with ${how} lets the next request in`,
      leavesNothing(async () => {
        for (const request of [connect, get]) {
          await using upstream = await AuthenticatingProxy.listen(answeringBasic(judgeOf(), answer));
          await using proxy = await ProxyUnderTest.start({ routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) } });
          assert.notEqual(statusOf(await ask(proxy.port, request)), 200);
          for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, request)), 200);
          assert.equal(upstream.transcript.filter((line) => line.endsWith(' Basic')).length, 1);
        }
      }),
    );
  }
}

test(
  'requests at once to a proxy on this machine that closes at Basic all get in, and one of them alone has sent it',
  leavesNothing(async () => {
    const judge = closingAtBasic(new DigestJudge('me', PASSWORD).judge, (peer) => peer.reset());
    await using upstream = await AuthenticatingProxy.listen(judge);
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) } });
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(proxy.port, connect)));
    assert.deepEqual([...new Set(answers.map(statusOf))], [200]);
    assert.equal(upstream.transcript.filter((line) => line.endsWith(' Basic')).length, 1);
  }),
);

test(
  'a request that cannot be repeated is not sent again where a proxy closes at a login that it had not asked for',
  leavesNothing(async () => {
    const judge = closingAtBasic(new DigestJudge('me', PASSWORD).judge, (peer) => void peer.end());
    await using upstream = await AuthenticatingProxy.listen(judge);
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) } });
    const bare = 'POST http://far.test/x HTTP/1.1\r\nHost: far.test\r\nContent-Length: 0\r\n\r\n';
    assert.equal(statusOf(await ask(proxy.port, bare)), 502);
    assert.deepEqual(upstream.transcript, ['POST Basic']);
    assert.equal(statusOf(await ask(proxy.port, bare)), 200);
  }),
);

test(
  'a wrong password in the URL of a proxy on this machine is latched by one CONNECT, and by twenty GETs at once with two proofs',
  leavesNothing(async () => {
    for (const [request, times, proofsMax] of [
      [connect, 1, 1],
      [get, 20, 2],
    ] as const) {
      await using upstream = await AuthenticatingProxy.listen(basicJudge('me', PASSWORD));
      await using proxy = await ProxyUnderTest.start({ routes: { proxy: urlOf(upstream, 'me:wrong') } });
      await Promise.all(Array.from({ length: times }, () => ask(proxy.port, request)));
      const page = await ask(proxy.port, request);
      assert.match(page, /^HTTP\/1\.1 502 [\s\S]*has rejected the password of me /);
      assert.equal(proofs(upstream).length, proofsMax);
    }
  }),
);

test(
  'what was asked for is no trial: a proxy that closes at Basic gets no request without it',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(
      closingAtBasic(
        () => 'let in',
        (peer) => void peer.end(),
      ),
    );
    const url = urlOf(upstream, `me:${PASSWORD}`);
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: url },
      upstreams: [{ host: '*', auth: { ...AT_ONCE, latch: false } }],
    });
    await using hooked = await startProxy({ route: () => [{ url, auth: { latch: false } }] });
    for (const { port } of [proxy, hooked]) {
      for (let n = 0; n < 2; n++) assert.equal(statusOf(await ask(port, connect)), 502);
    }
    const connects = upstream.transcript.filter((line) => line.startsWith('CONNECT'));
    assert.deepEqual(
      connects,
      Array.from({ length: 4 }, () => 'CONNECT Basic'),
    );
  }),
);

test(
  'logins that a route hook answers are sent at once, each to one request: a proxy may read parameters from the name',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(() => 'let in');
    let session = 0;
    await using proxy = await startProxy({ route: () => urlOf(upstream, `me-session-${++session}:${PASSWORD}`) });
    for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.deepEqual(upstream.requests.map(userOf), ['me-session-1', 'me-session-2', 'me-session-3']);
  }),
);

test(
  'a route hook decides for one upstream proxy how its login is sent',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(basicJudge('me', PASSWORD));
    const url = urlOf(upstream, `me:${PASSWORD}`);
    await using proxy = await startProxy({ route: () => [{ url, auth: { preemptive: false } }] });
    assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.deepEqual(upstream.transcript, ['CONNECT -', 'CONNECT Basic']);
  }),
);

test(
  'what a route hook says wrongly of a login is named in the record, and answers 502',
  leavesNothing(async () => {
    for (const auth of [{ preemptiv: true }, { scheme: 'digest', preemptive: true }, 'basic']) {
      const route = () => JSON.parse(JSON.stringify({ url: 'http://me:pw@127.0.0.1:9', auth }));
      await using proxy = await startProxy({ route });
      const closed = new Promise<string | undefined>((resolve) =>
        proxy.once('close', ({ record }) => resolve(record.detail)),
      );
      assert.equal(statusOf(await ask(proxy.port, connect)), 502);
      assert.match((await closed) ?? '', /^the route hook's result: auth/);
    }
  }),
);

test(
  'a proxy that wants Digest gets Basic unasked once, counts no wrong password, and gets Digest from then on',
  leavesNothing(async () => {
    const digest = new DigestJudge('me', PASSWORD);
    await using upstream = await AuthenticatingProxy.listen(digest.judge);
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) },
      upstreams: [{ host: '*', auth: { preemptive: true } }],
    });
    for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.deepEqual(upstream.transcript, ['CONNECT Basic', 'CONNECT Digest', 'CONNECT Digest', 'CONNECT Digest']);
    assert.equal(digest.wrong, 0);
  }),
);

test(
  'a preemptive password that is rejected is kept back like any other',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(basicJudge('me', PASSWORD));
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: urlOf(upstream, 'me:wrong') },
      upstreams: [{ host: '*', auth: AT_ONCE }],
    });
    for (let n = 0; n < 4; n++) assert.equal(statusOf(await ask(proxy.port, connect)), 502);
    assert.equal(proofs(upstream).length, 1);
  }),
);

test(
  'without a latch a login is tried by every request, several at once, and one mistaken 407 costs one request',
  leavesNothing(async () => {
    let held = 0;
    const allHere = Promise.withResolvers<void>();
    let mistakes = 1;
    await using upstream = await AuthenticatingProxy.listen(({ credentials }) => {
      if (credentials === undefined || mistakes-- > 0) return asks(BASIC);
      if (++held === 8) allHere.resolve();
      return 'let in';
    });
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) },
      upstreams: [{ host: '*', auth: { ...AT_ONCE, latch: false } }],
    });
    const first = await ask(proxy.port, connect);
    assert.equal(statusOf(first), 502);
    assert.match(first, /has rejected the password of me .*The next request tries it again\./);
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(proxy.port, connect)));
    assert.deepEqual([...new Set(answers.map(statusOf))], [200]);
    await allHere.promise;
    assert.equal(proofs(upstream).length, 9);
    assertNoSecretLeaks(proxy, PASSWORD, first);
  }),
);

test(
  'without a latch a proxy that is silent to one request holds up no other with the same login',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(({ uri }) => (uri.startsWith('silent') ? '' : 'let in'));
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: urlOf(upstream, `me:${PASSWORD}`) },
      upstreams: [{ host: '*', auth: { ...AT_ONCE, latch: false } }],
      timeouts: { head: '2s' },
    });
    const silent = ask(proxy.port, 'CONNECT silent.test:443 HTTP/1.1\r\nHost: silent.test:443\r\n\r\n');
    let isSilentOver = false;
    void silent.then(() => {
      isSilentOver = true;
    });
    assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.equal(isSilentOver, false);
    assert.equal(statusOf(await silent), 504);
  }),
);
