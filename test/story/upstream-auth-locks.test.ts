/** No locked accounts: a secret that was rejected is not sent again until it changes, and until one was accepted logons go one by one. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { resolveOptions } from '../../src/config/schema.ts';
import { systemClock } from '../../src/core/clock.ts';
import {
  AskingParent,
  asks,
  BASIC,
  basicJudge,
  DigestJudge,
  type Judge,
  ntlmIn,
  ntlmJudge,
} from '../support/asking-parent.ts';
import { ask, connect, get, type Login, post, proxyTo, statusOf, tellsNothing } from '../support/asking-story.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { nobodysSources, ProxyUnderTest } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';

const WRONG = 'Wröng:7f3a';

/** Messages with a proof: of Digest and Basic every one, of NTLM those of type 3. */
const proofs = ({ asked }: AskingParent): number =>
  asked.filter(({ credentials }) => credentials !== undefined && (ntlmIn(credentials)?.type ?? 3) === 3).length;

const notices = ({ events }: ProxyUnderTest): string[] =>
  events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));

interface Strict {
  readonly name: string;
  readonly judge: () => Judge;
  readonly login: Login;
}
/** Parents that believe nobody. */
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
    `${name}: a wrong password is sent once, and the page says whose it is and what lifts the latch`,
    leavesNothing(async () => {
      await using parent = await AskingParent.listen(judge());
      await using proxy = await proxyTo(parent, login);
      const who = login.domain === undefined ? 'me' : 'CORP\\me';
      for (const request of [connect, get, post('pay'), connect, get, post('pay')]) {
        const page = await ask(proxy.port, request);
        assert.match(page, /^HTTP\/1\.1 502 /);
        assert.ok(page.includes(`${parent.url} has rejected the password of ${who} (env:PW)`), page);
        assert.ok(page.includes('start viaduct with the new one'), page);
        assert.doesNotMatch(page, /Proxy-Authenticate|realm/i);
        tellsNothing(proxy, WRONG, page);
      }
      assert.equal(proofs(parent), 1);
      assert.equal(notices(proxy).length, 1, 'one line in the log, however many ask');
      assert.deepEqual(new Set(proxy.records.map(({ failure }) => failure)), new Set(['proxy_auth_failed']));
    }),
  );

  test(
    `${name}: 500 requests at once send a wrong password once`,
    leavesNothing(async () => {
      await using parent = await AskingParent.listen(judge());
      await using proxy = await proxyTo(parent, login);
      const asking = Array.from({ length: 500 }, (_, n) => ask(proxy.port, n % 2 === 0 ? connect : get));
      for (const page of await Promise.all(asking))
        assert.match(page, /^HTTP\/1\.1 502 [\s\S]*start viaduct with the new one/);
      assert.equal(proofs(parent), 1);
      tellsNothing(proxy, WRONG);
    }),
  );
}

test(
  '500 requests at once with a right password all pass, and the first logon goes alone',
  leavesNothing(async () => {
    let known = 0;
    const together: number[] = [];
    const basic = basicJudge('me', 'right');
    await using parent = await AskingParent.listen((request) => {
      if (request.credentials !== undefined) together.push(known);
      const verdict = basic(request);
      if (verdict === 'let in') known += 1;
      return verdict;
    });
    await using proxy = await proxyTo(parent, { password: 'right' });
    const asking = Array.from({ length: 500 }, (_, n) => ask(proxy.port, n % 2 === 0 ? connect : get));
    for (const page of await Promise.all(asking)) assert.equal(statusOf(page), 200);
    assert.equal(together.filter((before) => before === 0).length, 1);
  }),
);

test(
  'what one parent rejects another is still told; a reload lifts the latch, and a reload that changes nothing else too',
  leavesNothing(async () => {
    await using strict = await AskingParent.listen(() => asks(BASIC));
    await using kind = await AskingParent.listen(basicJudge('me', 'pw'));
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
      credentials: nobodysSources(systemClock, { PW: 'pw' }),
    });
    const toStrict = get.replaceAll('far.test', 'strict.test');
    for (let n = 0; n < 2; n++) assert.equal(statusOf(await ask(proxy.port, toStrict)), 502);
    assert.equal(statusOf(await ask(proxy.port, get)), 200);
    assert.equal(proofs(strict), 1);
    await proxy.proxy.reload(resolveOptions(settings));
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
    await using parent = await AskingParent.listen(basicJudge('me', 'new'));
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: parent.url },
      credentials: { default: { user: 'me', from: `file:${file}` } },
    });
    for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, get)), 502);
    assert.equal(proofs(parent), 1);
    writeFileSync(file, 'new\n');
    const untilMs = performance.now() + 5_000;
    while (statusOf(await ask(proxy.port, get)) !== 200) assert.ok(performance.now() < untilMs, 'it is never tried');
    assert.equal(proofs(parent), 2);
  }),
);

test(
  'a file that others can read matters when a parent asks, and not before',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const file = `${folder.path}/password`;
    writeFileSync(file, 'secret\n', { mode: 0o600 });
    let isOpen = true;
    await using parent = await AskingParent.listen(() => (isOpen ? 'let in' : asks(BASIC)));
    await using proxy = await ProxyUnderTest.start({
      routes: { proxy: parent.url },
      credentials: { default: { user: 'me', from: `file:${file}` } },
    });
    chmodSync(file, 0o644);
    assert.equal(statusOf(await ask(proxy.port, get)), 200);
    isOpen = false;
    const page = await ask(proxy.port, get);
    assert.match(page, /^HTTP\/1\.1 502 [\s\S]*The file with the secret of me /);
    assert.equal(proofs(parent), 0);
  }),
);

test(
  'a 403 or a 5xx behind a proof is no rejection',
  leavesNothing(async () => {
    for (const status of ['403 No', '503 Down']) {
      await using parent = await AskingParent.listen(({ credentials }) =>
        credentials === undefined ? asks(BASIC) : `HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`,
      );
      await using proxy = await proxyTo(parent, { password: 'right' });
      for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, get)), Number(status.slice(0, 3)));
      assert.equal(proofs(parent), 3);
    }
  }),
);

test(
  'BASIC_CREDENTIALS are another secret: they are tried behind an NTLM password that was rejected',
  leavesNothing(async () => {
    const ntlm = ntlmJudge({ verdict: 'wrong' });
    const basic = basicJudge('other', 'pw');
    await using parent = await AskingParent.listen((request) => {
      if (request.credentials?.startsWith('Basic') === true) return basic(request);
      return ntlm(request).replace('\r\nContent-Length', `\r\nProxy-Authenticate: ${BASIC}\r\nContent-Length`);
    });
    const environment = { NTLM_CREDENTIALS: 'me@CORP:a4f49c406510bdcab6824ee7c30fd852', BASIC_CREDENTIALS: 'other:pw' };
    await using proxy = await ProxyUnderTest.start(
      { routes: { proxy: parent.url } },
      { credentials: nobodysSources(systemClock, environment) },
    );
    for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.deepEqual(parent.story.slice(0, 4), ['CONNECT -', 'CONNECT NTLM', 'CONNECT NTLM', 'CONNECT Basic']);
    assert.deepEqual(new Set(parent.story.slice(4)), new Set(['CONNECT Basic']));
    tellsNothing(proxy, 'a4f49c406510bdcab6824ee7c30fd852');
  }),
);

test(
  'a parent that is not trusted is told nothing, and the page prints the flag that would trust it',
  leavesNothing(async () => {
    await using parent = await AskingParent.listen(() => asks('NTLM', BASIC));
    const route = {
      via: 'proxies',
      hops: [{ scheme: 'http', proxy: { host: '127.0.0.1', port: parent.origin.port }, namedBy: 'untrusted-pac' }],
    } as const;
    await using proxy = await ProxyUnderTest.start(
      { credentials: { default: { user: 'me', domain: 'CORP', from: 'env:PW' } } },
      {
        credentials: nobodysSources(systemClock, { PW: 'right' }),
        brought: { router: { route: () => ({ routes: [route], by: { kind: 'proxy' } }) } },
      },
    );
    for (const request of [connect, get, post('pay')]) {
      const page = await ask(proxy.port, request);
      assert.match(page, /^HTTP\/1\.1 502 [\s\S]*--credentials-for 127\.0\.0\.1/);
      assert.ok(page.includes(parent.url), page);
    }
    assert.equal(proofs(parent), 0);
    assert.match((await proxy.record()).detail ?? '', /--credentials-for 127\.0\.0\.1/);
  }),
);

test(
  'a client that goes away while it waits for another’s logon leaves nothing behind',
  leavesNothing(async () => {
    await using parent = await AskingParent.listen(({ credentials }) => (credentials === undefined ? asks(BASIC) : ''));
    await using proxy = await proxyTo(parent, { password: 'right' });
    using first = await proxy.client();
    first.send(get);
    await parent.origin.connection(0).then((peer) => peer.until('Basic'));
    using second = await proxy.client();
    second.send(get);
    await parent.origin.connection(1).then((peer) => peer.until('\r\n\r\n'));
    second.reset();
    await proxy.when(({ records }) => records.length === 1);
    assert.equal((await proxy.record()).failure, 'client_gone');
    assert.equal(proofs(parent), 1);
  }),
);

test(
  'no account, and a parent that asks: the page says how to name one',
  leavesNothing(async () => {
    await using parent = await AskingParent.listen(() => asks('Negotiate', 'NTLM'));
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: parent.url } });
    const page = await ask(proxy.port, get);
    assert.match(page, /by Negotiate, NTLM\), and no account is known for it: use viaduct login, or -u USER\./);
    assert.match(page, /Kerberos: a test has no tickets/);
  }),
);
