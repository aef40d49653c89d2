/** Every scheme at a real Squid, by tunnel, request and upload: with right, wrong and Unicode passwords. */
import assert from 'node:assert/strict';
import { copyFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { systemKerberos } from '../../src/upstream-auth/gssapi/gssapi.ts';
import { systemClock } from '../../src/util/clock.ts';
import { hashOfPattern, isLong, MB } from '../support/bulk.ts';
import { ProxyUnderTest, testCredentialSources } from '../support/proxy-under-test.ts';
import { failedLogins, handshakes } from './access-log.ts';
import { ACCOUNTS, type LabAccount } from './accounts.ts';
import { FOREIGN_NAME, type KerberosEnvironment } from './kdc.ts';
import { noLab } from './private.ts';
import { labServers } from './servers.ts';
import type { SquidUpstream } from './squid-upstream.ts';
import { HOSTILE_PATH, ThroughUpstream, type TunnelResponse } from './through-upstream.ts';
import {
  startAllSchemesUpstream,
  startBasicUpstream,
  startDigestUpstream,
  startEitherUpstream,
  startNegotiateUpstream,
  startNtlmUpstream,
  startSpnegoNtlmUpstream,
} from './upstream-proxies.ts';

const skip = noLab();
const { alice, bob, carol } = ACCOUNTS;
const WRONG: LabAccount = { user: 'alice', password: 'Passw0rd-Alicf' };

const UPLOAD_BYTES = (isLong ? 300 : 60) * MB;
/** What a proxy may gain while a body passes: up to 22 MB are the code of TLS, HTTP/2 and Kerberos, loaded by the first request. */
const GROWTH_BYTES_MAX = 30 * MB;

const lab = labServers(skip);

interface Scheme {
  readonly name: string;
  readonly start: () => Promise<SquidUpstream>;
  readonly domain?: () => string;
  /** Messages that a CONNECT takes once the upstream proxy is known. */
  readonly rounds: number;
}
const ntlmDomain = (): string => lab.winbind.domain;
const SCHEMES: readonly Scheme[] = [
  { name: 'Basic', start: startBasicUpstream, rounds: 1 },
  { name: 'Digest', start: startDigestUpstream, rounds: 1 },
  { name: 'NTLM', start: () => startNtlmUpstream(lab.winbind), domain: ntlmDomain, rounds: 2 },
  { name: 'NTLM in SPNEGO', start: () => startSpnegoNtlmUpstream(lab.winbind), domain: ntlmDomain, rounds: 2 },
  {
    name: 'NTLM under Negotiate',
    start: () => startEitherUpstream(lab.winbind, lab.kdc),
    domain: ntlmDomain,
    rounds: 2,
  },
];

/** Tickets are for this name, and not for an address. */
const byName = ({ port }: SquidUpstream): string => `http://localhost:${port}`;

/** With an account, and without a ticket. */
function proxyOf(
  url: string,
  { user, password }: LabAccount,
  domain?: string,
  more: object = {},
): Promise<ThroughUpstream> {
  const account = { user, from: 'env:PW', ...(domain === undefined ? {} : { domain }) };
  const environment = { PW: password, ...lab.kdc.none };
  return ThroughUpstream.start(lab.origin, url, { credentials: { default: account }, ...more }, environment);
}

async function passes(asking: Promise<TunnelResponse>): Promise<void> {
  const { status, text } = await asking;
  assert.equal(status, 200, text);
}

/** Upload, request and tunnel; the upload first, before the proxy has cached a scheme of the upstream proxy. */
async function passesEachKind(proxy: ThroughUpstream): Promise<void> {
  lab.origin.reached.length = 0;
  const growth = await proxy.growth(() => passes(proxy.put(UPLOAD_BYTES)));
  assert.ok(growth < GROWTH_BYTES_MAX, `memory grew by ${(growth / MB).toFixed(1)} MB`);
  assert.equal(lab.origin.bodies.at(-1), hashOfPattern(UPLOAD_BYTES));
  await passes(proxy.get());
  await passes(proxy.tunnel());
  assert.deepEqual(lab.origin.reached, ['PUT', 'GET', 'GET']);
}

for (const { name, start, domain, rounds } of SCHEMES) {
  test(`${name}: right passwords pass, odd and Unicode ones too, and no probe reaches the origin`, {
    skip,
  }, async () => {
    await using upstream = await start();
    const failedBefore = lab.winbind.failedLogins();
    for (const account of [alice, bob, carol]) {
      using proxy = await proxyOf(byName(upstream), account, domain?.());
      await passesEachKind(proxy);
      await upstream.log.until((all) => all.some(({ method, status }) => method === 'CONNECT' && status === 200));
      upstream.log.forget();
      assert.equal((await proxy.tunnel()).status, 200);
      const again = await upstream.log.until((all) => all.some(({ status }) => status === 200));
      assert.equal(again.length, rounds, 'messages of a CONNECT to an upstream proxy that is known');
      assert.equal(again.at(-1)?.user?.replace(/^.*\\/, ''), account.user);
      assert.equal(failedLogins(upstream.log.entries()).length, 0);
      upstream.log.forget();
      assert.ok(!(await proxy.end()).includes(account.password));
    }
    assert.equal(lab.winbind.failedLogins(), failedBefore);
  });

  test(`${name}: a wrong password is sent once, for all kinds of requests, and the error page names the remedy`, {
    skip,
  }, async () => {
    await using upstream = await start();
    for (const ask of [
      (proxy: ThroughUpstream) => proxy.tunnel(),
      (proxy: ThroughUpstream) => proxy.get(),
      (proxy: ThroughUpstream) => proxy.put(UPLOAD_BYTES),
    ]) {
      using proxy = await proxyOf(byName(upstream), WRONG, domain?.());
      const failedBefore = lab.winbind.failedLogins();
      lab.origin.reached.length = 0;
      for (let n = 0; n < 3; n++) {
        const { status, text } = await ask(proxy);
        assert.equal(status, 502);
        for (const word of [byName(upstream), 'alice', 'start viaduct with the new one', 'upstream_auth_failed']) {
          assert.ok(text.includes(word), text);
        }
        assert.ok(!text.includes(WRONG.password));
      }
      assert.deepEqual(lab.origin.reached, []);
      const printed = await proxy.end();
      assert.ok(printed.includes(`${byName(upstream)} has rejected the password of `), printed);
      assert.ok(!printed.includes(WRONG.password));
      assert.equal(failedLogins(await upstream.log.until((all) => failedLogins(all).length > 0)).length, 1);
      assert.equal(lab.winbind.failedLogins() - failedBefore, domain === undefined ? 0 : 1);
      upstream.log.forget();
    }
  });
}

async function costsOneRequestOnly(proxy: ThroughUpstream): Promise<void> {
  for (let n = 0; n < 2; n++) {
    const { status, text } = await proxy.get(HOSTILE_PATH);
    assert.equal(status, 502);
    assert.match(text, /It responded with 407 \(Proxy Authentication Required\)/);
    await passes(proxy.tunnel());
    await passes(proxy.get());
  }
}

for (const { name, start, domain } of SCHEMES) {
  test(`${name}: an origin that answers 407 costs its own request only, and locks no account`, { skip }, async () => {
    await using upstream = await start();
    const failedBefore = lab.winbind.failedLogins();
    using proxy = await proxyOf(byName(upstream), alice, domain?.());
    await costsOneRequestOnly(proxy);
    assert.equal(failedLogins(upstream.log.entries()).filter(({ user }) => user === undefined).length, 0);
    assert.equal(lab.winbind.failedLogins(), failedBefore);
  });
}

test('Negotiate: an origin that answers 407 costs its own request only', { skip }, async () => {
  await using upstream = await startNegotiateUpstream(lab.kdc);
  using proxy = await withTickets(byName(upstream), lab.kdc.good);
  await costsOneRequestOnly(proxy);
});

/** Gives this process a Kerberos for a while: the library reads the environment at each call. */
function setEnvironment(environment: Readonly<Record<string, string>>): Disposable {
  const before = Object.keys(environment).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, environment);
  return {
    [Symbol.dispose]() {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    },
  };
}

/** With a ticket, or without one, and no password. */
const withTickets = (url: string, environment: KerberosEnvironment, more: object = {}): Promise<ThroughUpstream> =>
  ThroughUpstream.start(lab.origin, url, more, environment);

test('Negotiate: a good ticket passes each way, and a connection asks for one only once', { skip }, async () => {
  await using upstream = await startNegotiateUpstream(lab.kdc);
  using proxy = await withTickets(byName(upstream), lab.kdc.good);
  assert.equal((await proxy.get()).status, 200);
  await passesEachKind(proxy);
  await upstream.log.until((all) => all.some(({ method, status }) => method === 'CONNECT' && status === 200));
  upstream.log.forget();
  assert.equal((await proxy.tunnel()).status, 200);
  const again = await upstream.log.until((all) => all.length > 0);
  assert.deepEqual(
    again.map(({ status, user }) => `${status} ${user}`),
    ['200 alice@LAB.TEST'],
  );
});

test('Negotiate: without a ticket, or with one that has run out, the error page names the cause', {
  skip,
}, async () => {
  await using upstream = await startNegotiateUpstream(lab.kdc);
  for (const [environment, word] of [
    [lab.kdc.none, /Kerberos: .*ticket/],
    [await lab.kdc.expired(), /Kerberos: .*(?:expired|run out)/],
  ] as const) {
    using proxy = await withTickets(byName(upstream), environment);
    for (const { status, text } of [await proxy.get(), await proxy.tunnel()]) {
      assert.equal(status, 502);
      assert.match(text, word);
    }
  }
  assert.equal(handshakes(upstream.log.entries()).length, 0);
});

test('Negotiate: a ticket that comes after the start is used', { skip }, async () => {
  await using upstream = await startNegotiateUpstream(lab.kdc);
  const pathOf = (cache: string): string => cache.slice('FILE:'.length);
  using proxy = await withTickets(byName(upstream), lab.kdc.none);
  assert.equal((await proxy.get()).status, 502);
  copyFileSync(pathOf(lab.kdc.kinit(alice)), pathOf(lab.kdc.none.KRB5CCNAME));
  try {
    await passes(proxy.get());
  } finally {
    rmSync(pathOf(lab.kdc.none.KRB5CCNAME));
  }
});

test('all four: a ticket comes first, then NTLM, and one wrong password is no reason to try it by another', {
  skip,
}, async () => {
  await using upstream = await startAllSchemesUpstream(lab.winbind, lab.kdc);
  const schemesOf = () => handshakes(upstream.log.entries()).map(({ credentials }) => credentials?.split(' ')[0]);
  {
    using proxy = await ThroughUpstream.start(
      lab.origin,
      byName(upstream),
      { credentials: { default: { user: 'alice', domain: lab.winbind.domain, from: 'env:PW' } } },
      { PW: alice.password, ...lab.kdc.good },
    );
    await passesEachKind(proxy);
    assert.deepEqual(new Set(schemesOf()), new Set(['Negotiate']));
    upstream.log.forget();
  }
  {
    using proxy = await proxyOf(byName(upstream), alice, lab.winbind.domain);
    await passesEachKind(proxy);
    assert.deepEqual(new Set(schemesOf()), new Set(['NTLM']));
    upstream.log.forget();
  }
  using proxy = await proxyOf(byName(upstream), WRONG, lab.winbind.domain);
  assert.equal((await proxy.get()).status, 502);
  assert.equal((await proxy.tunnel()).status, 502);
  assert.equal(failedLogins(await upstream.log.until((all) => failedLogins(all).length > 0)).length, 1);
});

test('a ticket that the upstream proxy does not accept is followed by NTLM, and is not sent again at once', {
  skip,
}, async () => {
  await using upstream = await startAllSchemesUpstream(lab.winbind, lab.kdc);
  using _tickets = setEnvironment(lab.kdc.good);
  await using proxy = await ProxyUnderTest.start(
    {
      routes: { proxy: `http://${FOREIGN_NAME}:${upstream.port}` },
      credentials: { default: { user: 'alice', domain: lab.winbind.domain, from: 'env:PW' } },
    },
    {
      credentials: testCredentialSources(systemClock, { PW: alice.password }),
      kerberos: systemKerberos({ clock: systemClock, platform: process.platform }),
      lookup: async () => ['127.0.0.1'],
    },
  );
  for (let n = 0; n < 3; n++) (await proxy.tunnel(lab.origin.authority)).socket.destroy();
  const shown = (await upstream.log.until((all) => handshakes(all).length === 4)).map(
    ({ credentials, status }) => `${credentials?.split(' ')[0] ?? '-'} ${status}`,
  );
  assert.deepEqual(shown.slice(0, 3), ['- 407', 'Negotiate 407', 'NTLM 407']);
  assert.equal(shown.filter((one) => one === 'Negotiate 407').length, 1);
  assert.equal(shown.filter((one) => one === 'NTLM 200').length, 3);
});

for (const [name, start, account] of [
  ['Basic', () => startBasicUpstream({ after407: 'closes' }), alice],
  ['Digest', () => startDigestUpstream({ after407: 'closes' }), alice],
  ['NTLM', () => startNtlmUpstream(lab.winbind, { after407: 'closes' }), alice],
] as const) {
  test(`${name}: an upstream proxy that closes after a 407 accepts the client on its next connection`, {
    skip,
  }, async () => {
    await using upstream = await start();
    using proxy = await proxyOf(byName(upstream), account, name === 'NTLM' ? lab.winbind.domain : undefined);
    await passesEachKind(proxy);
    assert.equal(failedLogins(upstream.log.entries()).length, 0);
  });
}

test('Negotiate: an upstream proxy that closes after a 407 accepts the client on its next connection', {
  skip,
}, async () => {
  await using upstream = await startNegotiateUpstream(lab.kdc, { after407: 'closes' });
  using proxy = await withTickets(byName(upstream), lab.kdc.good);
  await passesEachKind(proxy);
});

for (const { name, start, domain } of SCHEMES.slice(0, 4)) {
  test(`${name}: over TLS with the upstream proxy`, { skip }, async () => {
    await using upstream = await start();
    using proxy = await proxyOf(upstream.tlsUrl, carol, domain?.(), {
      upstreams: [{ host: 'localhost', ca: upstream.ca }],
    });
    await passesEachKind(proxy);
    assert.equal(failedLogins(upstream.log.entries()).length, 0);
  });
}

test('Negotiate: over TLS with the upstream proxy', { skip }, async () => {
  await using upstream = await startNegotiateUpstream(lab.kdc);
  using proxy = await withTickets(upstream.tlsUrl, lab.kdc.good, {
    upstreams: [{ host: 'localhost', ca: upstream.ca }],
  });
  await passesEachKind(proxy);
});

test('Digest: nonces are used up, followed and called stale while requests go on', { skip }, async () => {
  await using upstream = await startDigestUpstream({ nonceUses: 3 });
  using proxy = await proxyOf(byName(upstream), alice);
  for (let n = 0; n < 40; n++) assert.equal((await (n % 2 === 0 ? proxy.get() : proxy.tunnel())).status, 200);
  const answers = await Promise.all(Array.from({ length: 40 }, () => proxy.get()));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
});
