/** Every scheme at real parents, by tunnel, request and upload: with right, wrong and Unicode passwords. */
import assert from 'node:assert/strict';
import { copyFileSync, rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { systemTicketing } from '../../src/upstream/auth/gssapi.ts';
import { hashOfPattern, isLong, MB } from '../support/bulk.ts';
import { nobodysSources, ProxyUnderTest } from '../support/proxy-under-test.ts';
import { failedLogons, handshakes } from './access-log.ts';
import { ACCOUNTS, type LabAccount } from './accounts.ts';
import { FOREIGN_NAME, type Kdc, type KerberosEnvironment, startKdc } from './kdc.ts';
import {
  startAllSchemesParent,
  startBasicParent,
  startDigestParent,
  startEitherParent,
  startNegotiateParent,
  startNtlmParent,
  startSpnegoNtlmParent,
} from './parents.ts';
import { noLab } from './private.ts';
import type { SquidParent } from './squid-parent.ts';
import { LabOrigin, ThroughParent, type Told } from './through-parent.ts';
import { startWinbind, type Winbind } from './winbind.ts';

const skip = noLab();
const { alice, bob, carol } = ACCOUNTS;
const WRONG: LabAccount = { user: 'alice', password: 'Passw0rd-Alicf' };

const UPLOAD_BYTES = (isLong ? 300 : 30) * MB;
/** What a proxy may gain over what it has when it is idle, while a body passes. */
const GROWTH_BYTES_MAX = 16 * MB;

let origin: LabOrigin;
let winbind: Winbind;
let kdc: Kdc;
before(async () => {
  if (skip !== false) return;
  origin = await LabOrigin.listen();
  [winbind, kdc] = await Promise.all([startWinbind(), startKdc()]);
});
after(async () => {
  await origin?.[Symbol.asyncDispose]();
  await winbind?.[Symbol.asyncDispose]();
  await kdc?.[Symbol.asyncDispose]();
});

interface Scheme {
  readonly name: string;
  readonly start: () => Promise<SquidParent>;
  readonly domain?: () => string;
  /** Messages that a CONNECT takes once the parent is known. */
  readonly rounds: number;
}
const ntlmDomain = (): string => winbind.domain;
const SCHEMES: readonly Scheme[] = [
  { name: 'Basic', start: startBasicParent, rounds: 1 },
  { name: 'Digest', start: startDigestParent, rounds: 1 },
  { name: 'NTLM', start: () => startNtlmParent(winbind), domain: ntlmDomain, rounds: 2 },
  { name: 'NTLM in SPNEGO', start: () => startSpnegoNtlmParent(winbind), domain: ntlmDomain, rounds: 2 },
  { name: 'NTLM under Negotiate', start: () => startEitherParent(winbind, kdc), domain: ntlmDomain, rounds: 2 },
];

/** Tickets are for this name, and not for an address. */
const byName = ({ port }: SquidParent): string => `http://localhost:${port}`;

/** With an account, and without a ticket. */
function proxyOf(
  url: string,
  { user, password }: LabAccount,
  domain?: string,
  more: object = {},
): Promise<ThroughParent> {
  const account = { user, from: 'env:PW', ...(domain === undefined ? {} : { domain }) };
  const environment = { PW: password, ...kdc.none };
  return ThroughParent.start(origin, url, { credentials: { default: account }, ...more }, environment);
}

async function passes(asking: Promise<Told>): Promise<void> {
  const { status, text } = await asking;
  assert.equal(status, 200, text);
}

/** By every way, the upload first: then nothing is known of the parent. */
async function passesEachWay(proxy: ThroughParent): Promise<void> {
  origin.reached.length = 0;
  const growth = await proxy.growth(() => passes(proxy.put(UPLOAD_BYTES)));
  assert.ok(growth < GROWTH_BYTES_MAX, `memory grew by ${(growth / MB).toFixed(1)} MB`);
  assert.equal(origin.bodies.at(-1), hashOfPattern(UPLOAD_BYTES));
  await passes(proxy.get());
  await passes(proxy.tunnel());
  assert.deepEqual(origin.reached, ['PUT', 'GET', 'GET']);
}

for (const { name, start, domain, rounds } of SCHEMES) {
  test(`${name}: right passwords pass, odd and Unicode ones too, and no question reaches the origin`, {
    skip,
  }, async () => {
    await using parent = await start();
    const failedBefore = winbind.failedLogons();
    for (const account of [alice, bob, carol]) {
      using proxy = await proxyOf(byName(parent), account, domain?.());
      await passesEachWay(proxy);
      await parent.log.until((all) => all.some(({ method, status }) => method === 'CONNECT' && status === 200));
      parent.log.forget();
      assert.equal((await proxy.tunnel()).status, 200);
      const again = await parent.log.until((all) => all.some(({ status }) => status === 200));
      assert.equal(again.length, rounds, 'messages of a CONNECT to a parent that is known');
      assert.equal(again.at(-1)?.user?.replace(/^.*\\/, ''), account.user);
      assert.equal(failedLogons(parent.log.entries()).length, 0);
      parent.log.forget();
      assert.ok(!(await proxy.end()).includes(account.password));
    }
    assert.equal(winbind.failedLogons(), failedBefore);
  });

  test(`${name}: a wrong password is sent once, whatever is asked for, and the page says what to do`, {
    skip,
  }, async () => {
    await using parent = await start();
    for (const ask of [
      (proxy: ThroughParent) => proxy.tunnel(),
      (proxy: ThroughParent) => proxy.get(),
      (proxy: ThroughParent) => proxy.put(UPLOAD_BYTES),
    ]) {
      using proxy = await proxyOf(byName(parent), WRONG, domain?.());
      const failedBefore = winbind.failedLogons();
      origin.reached.length = 0;
      for (let n = 0; n < 3; n++) {
        const { status, text } = await ask(proxy);
        assert.equal(status, 502);
        for (const word of [byName(parent), 'alice', 'start viaduct with the new one', 'proxy_auth_failed']) {
          assert.ok(text.includes(word), text);
        }
        assert.ok(!text.includes(WRONG.password));
      }
      assert.deepEqual(origin.reached, []);
      const said = await proxy.end();
      assert.ok(said.includes(`${byName(parent)} has rejected the password of `), said);
      assert.ok(!said.includes(WRONG.password));
      assert.equal(failedLogons(await parent.log.until((all) => failedLogons(all).length > 0)).length, 1);
      assert.equal(winbind.failedLogons() - failedBefore, domain === undefined ? 0 : 1);
      parent.log.forget();
    }
  });
}

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
const withTickets = (url: string, environment: KerberosEnvironment, more: object = {}): Promise<ThroughParent> =>
  ThroughParent.start(origin, url, more, environment);

test('Negotiate: a good ticket passes each way, and a connection asks for one only once', { skip }, async () => {
  await using parent = await startNegotiateParent(kdc);
  using proxy = await withTickets(byName(parent), kdc.good);
  assert.equal((await proxy.get()).status, 200);
  await passesEachWay(proxy);
  await parent.log.until((all) => all.some(({ method, status }) => method === 'CONNECT' && status === 200));
  parent.log.forget();
  assert.equal((await proxy.tunnel()).status, 200);
  const again = await parent.log.until((all) => all.length > 0);
  assert.deepEqual(
    again.map(({ status, user }) => `${status} ${user}`),
    ['200 alice@LAB.TEST'],
  );
});

test('Negotiate: without a ticket, or with one that has run out, the page says so', { skip }, async () => {
  await using parent = await startNegotiateParent(kdc);
  for (const [environment, word] of [
    [kdc.none, /Kerberos: .*ticket/],
    [await kdc.expired(), /Kerberos: .*(?:expired|run out)/],
  ] as const) {
    using proxy = await withTickets(byName(parent), environment);
    for (const { status, text } of [await proxy.get(), await proxy.tunnel()]) {
      assert.equal(status, 502);
      assert.match(text, word);
    }
  }
  assert.equal(handshakes(parent.log.entries()).length, 0);
});

test('Negotiate: a ticket that comes after the start is used', { skip }, async () => {
  await using parent = await startNegotiateParent(kdc);
  const pathOf = (cache: string): string => cache.slice('FILE:'.length);
  using proxy = await withTickets(byName(parent), kdc.none);
  assert.equal((await proxy.get()).status, 502);
  copyFileSync(pathOf(kdc.kinit(alice)), pathOf(kdc.none.KRB5CCNAME));
  try {
    await passes(proxy.get());
  } finally {
    rmSync(pathOf(kdc.none.KRB5CCNAME));
  }
});

test('all four: a ticket comes first, then NTLM, and one wrong password is no reason to try it by another', {
  skip,
}, async () => {
  await using parent = await startAllSchemesParent(winbind, kdc);
  const schemesOf = () => handshakes(parent.log.entries()).map(({ credentials }) => credentials?.split(' ')[0]);
  {
    using proxy = await ThroughParent.start(
      origin,
      byName(parent),
      { credentials: { default: { user: 'alice', domain: winbind.domain, from: 'env:PW' } } },
      { PW: alice.password, ...kdc.good },
    );
    await passesEachWay(proxy);
    assert.deepEqual(new Set(schemesOf()), new Set(['Negotiate']));
    parent.log.forget();
  }
  {
    using proxy = await proxyOf(byName(parent), alice, winbind.domain);
    await passesEachWay(proxy);
    assert.deepEqual(new Set(schemesOf()), new Set(['NTLM']));
    parent.log.forget();
  }
  using proxy = await proxyOf(byName(parent), WRONG, winbind.domain);
  assert.equal((await proxy.get()).status, 502);
  assert.equal((await proxy.tunnel()).status, 502);
  assert.equal(failedLogons(await parent.log.until((all) => failedLogons(all).length > 0)).length, 1);
});

test('a ticket that the parent does not accept makes room for NTLM, and is not shown at once again', {
  skip,
}, async () => {
  await using parent = await startAllSchemesParent(winbind, kdc);
  using _tickets = setEnvironment(kdc.good);
  await using proxy = await ProxyUnderTest.start(
    {
      routes: { proxy: `http://${FOREIGN_NAME}:${parent.port}` },
      credentials: { default: { user: 'alice', domain: winbind.domain, from: 'env:PW' } },
    },
    {
      credentials: nobodysSources(systemClock, { PW: alice.password }),
      tickets: systemTicketing({ clock: systemClock, platform: process.platform }),
      lookup: async () => ['127.0.0.1'],
    },
  );
  for (let n = 0; n < 3; n++) (await proxy.tunnel(origin.authority)).socket.destroy();
  const shown = (await parent.log.until((all) => handshakes(all).length === 4)).map(
    ({ credentials, status }) => `${credentials?.split(' ')[0] ?? '-'} ${status}`,
  );
  assert.deepEqual(shown.slice(0, 3), ['- 407', 'Negotiate 407', 'NTLM 407']);
  assert.equal(shown.filter((one) => one === 'Negotiate 407').length, 1);
  assert.equal(shown.filter((one) => one === 'NTLM 200').length, 3);
});

for (const [name, start, account] of [
  ['Basic', () => startBasicParent({ after407: 'closes' }), alice],
  ['Digest', () => startDigestParent({ after407: 'closes' }), alice],
  ['NTLM', () => startNtlmParent(winbind, { after407: 'closes' }), alice],
] as const) {
  test(`${name}: a parent that closes after a 407 lets in who comes back`, { skip }, async () => {
    await using parent = await start();
    using proxy = await proxyOf(byName(parent), account, name === 'NTLM' ? winbind.domain : undefined);
    await passesEachWay(proxy);
    assert.equal(failedLogons(parent.log.entries()).length, 0);
  });
}

test('Negotiate: a parent that closes after a 407 lets in who comes back', { skip }, async () => {
  await using parent = await startNegotiateParent(kdc, { after407: 'closes' });
  using proxy = await withTickets(byName(parent), kdc.good);
  await passesEachWay(proxy);
});

for (const { name, start, domain } of SCHEMES.slice(0, 4)) {
  test(`${name}: over TLS with the parent`, { skip }, async () => {
    await using parent = await start();
    using proxy = await proxyOf(parent.tlsUrl, carol, domain?.(), {
      upstreams: [{ host: 'localhost', ca: parent.ca }],
    });
    await passesEachWay(proxy);
    assert.equal(failedLogons(parent.log.entries()).length, 0);
  });
}

test('Negotiate: over TLS with the parent', { skip }, async () => {
  await using parent = await startNegotiateParent(kdc);
  using proxy = await withTickets(parent.tlsUrl, kdc.good, { upstreams: [{ host: 'localhost', ca: parent.ca }] });
  await passesEachWay(proxy);
});

test('Digest: nonces are used up, followed and called stale while requests go on', { skip }, async () => {
  await using parent = await startDigestParent({ nonceUses: 3 });
  using proxy = await proxyOf(byName(parent), alice);
  for (let n = 0; n < 40; n++) assert.equal((await (n % 2 === 0 ? proxy.get() : proxy.tunnel())).status, 200);
  const answers = await Promise.all(Array.from({ length: 40 }, () => proxy.get()));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
});
