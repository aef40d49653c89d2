/**
 * No locked accounts: a secret that was rejected is not sent again until it changes, and until one was accepted logins
 * go one by one.
 */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { resolveOptions } from '../../src/config/schema.ts';
import { systemClock } from '../../src/util/clock.ts';
import {
  AuthenticatingProxy,
  asks,
  BASIC,
  basicJudge,
  DigestJudge,
  type Judge,
  ntlmIn,
  ntlmJudge,
} from '../support/authenticating-proxy.ts';
import {
  ask,
  assertNoSecretLeaks,
  connect,
  get,
  type Login,
  post,
  proxyTo,
  statusOf,
} from '../support/authentication.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { ProxyUnderTest, testCredentialSources } from '../support/proxy-under-test.ts';
import { stoppedClock } from '../support/stopped-clock.ts';
import { temporaryFolder } from '../support/temporary.ts';

const WRONG = 'Wröng:7f3a';

/** Messages with a proof: of Digest and Basic every one, of NTLM those of type 3. */
const proofs = ({ requests }: AuthenticatingProxy): number =>
  requests.filter(({ credentials }) => credentials !== undefined && (ntlmIn(credentials)?.type ?? 3) === 3).length;

const notices = ({ events }: ProxyUnderTest): string[] =>
  events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));

interface Strict {
  readonly name: string;
  readonly judge: () => Judge;
  readonly login: Login;
}
/** Upstream proxies that reject every login. */
const STRICT: readonly Strict[] = [
  { name: 'Basic', judge: () => () => asks(BASIC), login: { password: WRONG } },
  { name: 'Digest', judge: () => new DigestJudge('me', 'right').judge, login: { password: WRONG } },
  { name: 'NTLM', judge: () => ntlmJudge({ verdict: 'wrong' }), login: { password: WRONG, domain: 'CORP' } },
  {
    name: 'NTLM that goes on to ask',
    // Its answer to a Type 3 is another Type 2.
    judge: () => {
      const judge = ntlmJudge({ verdict: 'wrong' });
      return (request) =>
        judge({
          ...request,
          credentials: request.credentials === undefined ? undefined : 'NTLM TlRMTVNTUAABAAAAAAAAAA==',
        });
    },
    login: { password: WRONG, domain: 'CORP' },
  },
  {
    name: 'all of them',
    judge: () => {
      const judge = ntlmJudge({ verdict: 'wrong' });
      const others = `${BASIC}, Digest realm="x", nonce="n", qop="auth"`;
      return (request) =>
        judge(request).replace('\r\nContent-Length', `\r\nProxy-Authenticate: ${others}\r\nContent-Length`);
    },
    login: { password: WRONG, domain: 'CORP' },
  },
];

for (const { name, judge, login } of STRICT) {
  test(
    `${name}: a wrong password is sent once, and the page names its source and what lifts the latch`,
    leavesNothing(async () => {
      await using upstream = await AuthenticatingProxy.listen(judge());
      await using proxy = await proxyTo(upstream, login);
      const who = login.domain === undefined ? 'me' : 'CORP\\me';
      for (const request of [connect, get, post('pay'), connect, get, post('pay')]) {
        const page = await ask(proxy.port, request);
        assert.match(page, /^HTTP\/1\.1 502 /);
        assert.ok(page.includes(`${upstream.url} has rejected the password of ${who} (env:PW)`), page);
        assert.ok(page.includes('start viaduct with the new one'), page);
        assert.doesNotMatch(page, /Proxy-Authenticate|realm/i);
        assertNoSecretLeaks(proxy, WRONG, page);
      }
      assert.equal(proofs(upstream), 1);
      assert.equal(notices(proxy).length, 1, 'one line in the log, however many ask');
      assert.deepEqual(new Set(proxy.records.map(({ failure }) => failure)), new Set(['upstream_auth_failed']));
    }),
  );

  test(
    `${name}: 500 requests at once send a wrong password once`,
    leavesNothing(async () => {
      await using upstream = await AuthenticatingProxy.listen(judge());
      // Time stands still: after a second without a response a second proof would be right.
      await using proxy = await proxyTo(upstream, login, stoppedClock);
      const asking = Array.from({ length: 500 }, (_, n) => ask(proxy.port, n % 2 === 0 ? connect : get));
      for (const page of await Promise.all(asking))
        assert.match(page, /^HTTP\/1\.1 502 [\s\S]*start viaduct with the new one/);
      assert.equal(proofs(upstream), 1);
      assertNoSecretLeaks(proxy, WRONG);
    }),
  );
}

test(
  '500 requests at once with a right password all pass, and the first login goes alone',
  leavesNothing(async () => {
    let known = 0;
    const together: number[] = [];
    const basic = basicJudge('me', 'right');
    await using upstream = await AuthenticatingProxy.listen((request) => {
      if (request.credentials !== undefined) together.push(known);
      const verdict = basic(request);
      if (verdict === 'let in') known += 1;
      return verdict;
    });
    await using proxy = await proxyTo(upstream, { password: 'right' }, stoppedClock);
    const asking = Array.from({ length: 500 }, (_, n) => ask(proxy.port, n % 2 === 0 ? connect : get));
    for (const page of await Promise.all(asking)) assert.equal(statusOf(page), 200);
    assert.equal(together.filter((before) => before === 0).length, 1);
  }),
);

test(
  'a login that one upstream proxy rejects is still sent to another; a reload lifts the latch, also one that changes nothing',
  leavesNothing(async () => {
    await using strict = await AuthenticatingProxy.listen(() => asks(BASIC));
    await using kind = await AuthenticatingProxy.listen(basicJudge('me', 'pw'));
    const settings = {
      listen: 'http://127.0.0.1:0',
      log: { format: 'off' },
      credentials: { default: { user: 'me', from: 'env:PW' } },
      routes: {
        rules: [{ name: 'strict', hosts: ['strict.test'], via: `PROXY ${strict.origin.authority}` }],
        proxy: kind.url,
      },
    } as const;
    await using proxy = await ProxyUnderTest.start(settings, {
      credentials: testCredentialSources(systemClock, { PW: 'pw' }),
    });
    const toStrict = get.replaceAll('far.test', 'strict.test');
    for (let n = 0; n < 2; n++) assert.equal(statusOf(await ask(proxy.port, toStrict)), 502);
    assert.equal(statusOf(await ask(proxy.port, get)), 200);
    assert.equal(proofs(strict), 1);
    await proxy.proxy.reload(resolveOptions(settings, {}, { PW: 'pw' }));
    for (let n = 0; n < 2; n++) assert.equal(statusOf(await ask(proxy.port, toStrict)), 502);
    assert.equal(proofs(strict), 2);
  }),
);

test(
  'a secret that changes is tried again by itself',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const file = `${folder.path}/password`;
    writeFileSync(file, 'old\n', { mode: 0o600 });
    await using upstream = await AuthenticatingProxy.listen(basicJudge('me', 'new'));
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: upstream.url },
      credentials: { default: { user: 'me', from: `file:${file}` } },
    });
    for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, get)), 502);
    assert.equal(proofs(upstream), 1);
    writeFileSync(file, 'new\n');
    const untilMs = performance.now() + 5_000;
    while (statusOf(await ask(proxy.port, get)) !== 200) assert.ok(performance.now() < untilMs, 'it is never tried');
    assert.equal(proofs(upstream), 3, 'the wrong one once, the right one to the proxy itself and with the request');
  }),
);

test(
  'a file that others can read matters when an upstream proxy asks, and not before',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const file = `${folder.path}/password`;
    writeFileSync(file, 'secret\n', { mode: 0o600 });
    let isOpen = true;
    await using upstream = await AuthenticatingProxy.listen(() => (isOpen ? 'let in' : asks(BASIC)));
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: upstream.url },
      credentials: { default: { user: 'me', from: `file:${file}` } },
    });
    chmodSync(file, 0o644);
    assert.equal(statusOf(await ask(proxy.port, get)), 200);
    isOpen = false;
    const page = await ask(proxy.port, get);
    assert.match(page, /^HTTP\/1\.1 502 [\s\S]*The file with the secret of me /);
    assert.equal(proofs(upstream), 0);
  }),
);

test(
  'a 401, 403 or 5xx behind a proof is passed on, and is neither a rejection nor an acceptance: two such, and it is not sent for a while',
  leavesNothing(async () => {
    for (const status of ['401 Who', '403 No', '503 Down']) {
      for (const request of [connect, get]) {
        await using upstream = await AuthenticatingProxy.listen(({ credentials }) =>
          credentials === undefined ? asks(BASIC) : `HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`,
        );
        await using proxy = await proxyTo(upstream, { password: WRONG });
        const answers: string[] = [];
        for (let n = 0; n < 20; n++) answers.push(await ask(proxy.port, request));
        assert.ok(answers[0]?.includes(status.slice(0, 3)), answers[0]);
        assert.match(answers.at(-1) ?? '', /^HTTP\/1\.1 502 [\s\S]*gave no clear response to the password of me/);
        // A plain request that the proxy does not accept for sure is still served once: its 403 may be the target's.
        assert.equal(proofs(upstream), request === connect ? 2 : 3);
        assertNoSecretLeaks(proxy, WRONG, ...answers);
      }
    }
  }),
);

test(
  'BASIC_CREDENTIALS are another secret: they are tried behind an NTLM password that was rejected',
  leavesNothing(async () => {
    const ntlm = ntlmJudge({ verdict: 'wrong' });
    const basic = basicJudge('other', 'pw');
    await using upstream = await AuthenticatingProxy.listen((request) => {
      if (request.credentials?.startsWith('Basic') === true) return basic(request);
      return ntlm(request).replace('\r\nContent-Length', `\r\nProxy-Authenticate: ${BASIC}\r\nContent-Length`);
    });
    const environment = { NTLM_CREDENTIALS: 'me@CORP:a4f49c406510bdcab6824ee7c30fd852', BASIC_CREDENTIALS: 'other:pw' };
    await using proxy = await ProxyUnderTest.start(
      { routes: { proxy: upstream.url } },
      { credentials: testCredentialSources(systemClock, environment) },
    );
    for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.deepEqual(upstream.transcript.slice(0, 4), ['CONNECT -', 'CONNECT NTLM', 'CONNECT NTLM', 'CONNECT Basic']);
    assert.deepEqual(new Set(upstream.transcript.slice(4)), new Set(['CONNECT Basic']));
    assertNoSecretLeaks(proxy, 'a4f49c406510bdcab6824ee7c30fd852');
  }),
);

test(
  'an upstream proxy that is not trusted gets no login, and the page prints the flag that would trust it',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(() => asks('NTLM', BASIC));
    const route = {
      via: 'proxies',
      hops: [{ scheme: 'http', proxy: { host: '127.0.0.1', port: upstream.origin.port }, namedBy: 'untrusted-pac' }],
    } as const;
    await using proxy = await ProxyUnderTest.start(
      { credentials: { default: { user: 'me', domain: 'CORP', from: 'env:PW' } } },
      {
        credentials: testCredentialSources(systemClock, { PW: 'right' }),
        overrides: { router: { route: () => ({ routes: [route], by: { kind: 'proxy' } }) } },
      },
    );
    for (const request of [connect, get, post('pay')]) {
      const page = await ask(proxy.port, request);
      assert.match(page, /^HTTP\/1\.1 502 [\s\S]*--credentials-for 127\.0\.0\.1/);
      assert.ok(page.includes(upstream.url), page);
    }
    assert.equal(proofs(upstream), 0);
    assert.match((await proxy.record()).detail ?? '', /--credentials-for 127\.0\.0\.1/);
  }),
);

test(
  'a client that goes away while it waits for another’s login leaves nothing behind',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(({ credentials }) =>
      credentials === undefined ? asks(BASIC) : '',
    );
    await using proxy = await proxyTo(upstream, { password: 'right' });
    using first = await proxy.client();
    first.send(get);
    await upstream.origin.connection(0).then((peer) => peer.until('Basic'));
    using second = await proxy.client();
    second.send(get);
    await upstream.origin.connection(1).then((peer) => peer.until('\r\n\r\n'));
    second.reset();
    await proxy.when(({ records }) => records.length === 1);
    assert.equal((await proxy.record()).failure, 'client_gone');
    assert.equal(proofs(upstream), 1);
  }),
);

test(
  'no account, and an upstream proxy that asks: the page explains how to name one',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(() => asks('Negotiate', 'NTLM'));
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: upstream.url } });
    const page = await ask(proxy.port, get);
    assert.match(page, /\(Negotiate, NTLM\), and no account is known for it: use viaduct login, or -u USER, /);
    assert.match(page, /Kerberos: a test has no tickets/);
  }),
);

test(
  'an account whose password is not found, and an upstream proxy that asks: the page names the account and where the password should be',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(() => asks('NTLM'));
    const credentials = { default: { user: 'CORP\\me', from: 'keyring' } };
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: upstream.url }, credentials });
    const page = await ask(proxy.port, get);
    assert.match(page, /\(NTLM\), and the keyring has no password of CORP\\me: use viaduct login\./);
  }),
);
