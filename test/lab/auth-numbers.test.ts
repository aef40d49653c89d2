/** What a handshake and a wrong password cost, by the accounts of those who bear it: Squid's log and winbind's. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectionsOf, failedLogons, handshakes } from './access-log.ts';
import { ACCOUNTS } from './accounts.ts';
import { type Kdc, startKdc } from './kdc.ts';
import {
  startAllSchemesParent,
  startBasicParent,
  startDigestParent,
  startNegotiateParent,
  startNtlmParent,
  startSpnegoNtlmParent,
} from './parents.ts';
import { noLab } from './private.ts';
import type { SquidParent } from './squid-parent.ts';
import { LabOrigin, ThroughParent } from './through-parent.ts';
import { startWinbind, type Winbind } from './winbind.ts';

const skip = noLab();
const { alice } = ACCOUNTS;

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

const byName = ({ port }: SquidParent): string => `http://localhost:${port}`;
const accountOf = (domain?: string) => ({
  credentials: { default: { user: 'alice', from: 'env:PW', ...(domain === undefined ? {} : { domain }) } },
});

const REQUESTS = 1_000;

for (const [name, start, settings] of [
  ['NTLM', () => startNtlmParent(winbind), () => accountOf(winbind.domain)],
  ['NTLM in SPNEGO', () => startSpnegoNtlmParent(winbind), () => accountOf(winbind.domain)],
  ['Negotiate', () => startNegotiateParent(kdc), () => ({})],
] as const) {
  test(`${name}: ${REQUESTS} requests, one after the other, cost one handshake`, { skip }, async () => {
    await using parent = await start();
    const environment = { PW: alice.password, ...(name === 'Negotiate' ? kdc.good : kdc.none) };
    using proxy = await ThroughParent.start(origin, byName(parent), settings(), environment);
    for (let n = 0; n < REQUESTS; n++) {
      const { status, text } = n % 10 === 9 ? await proxy.put(100) : await proxy.get();
      assert.equal(status, 200, text);
    }
    const entries = await parent.log.until((all) => all.filter(({ status }) => status === 200).length === REQUESTS);
    assert.equal(handshakes(entries).length, 1);
    // One on which it was asked, and one that was logged on.
    assert.equal(connectionsOf(entries), 2);
  });
}

const AT_ONCE = 500;

for (const [name, start, domain] of [
  ['Basic', startBasicParent, () => undefined],
  ['Digest', startDigestParent, () => undefined],
  ['NTLM', () => startNtlmParent(winbind), () => winbind.domain],
  ['NTLM in SPNEGO', () => startSpnegoNtlmParent(winbind), () => winbind.domain],
  ['all four', () => startAllSchemesParent(winbind, kdc), () => winbind.domain],
] as const) {
  test(`${name}: ${AT_ONCE} requests at once with a wrong password cost one failed logon`, { skip }, async () => {
    await using parent = await start();
    const failedBefore = winbind.failedLogons();
    const environment = { PW: 'Passw0rd-Alicf', ...kdc.none };
    using proxy = await ThroughParent.start(origin, byName(parent), accountOf(domain()), environment);
    const asking = Array.from({ length: AT_ONCE }, (_, n) => (n % 2 === 0 ? proxy.get() : proxy.tunnel()));
    const told = await Promise.all(asking);
    for (const { status, text } of told)
      assert.ok(status === 502 && text.includes('start viaduct with the new one'), text);
    assert.equal(failedLogons(await parent.log.until((all) => failedLogons(all).length > 0)).length, 1);
    assert.equal(winbind.failedLogons() - failedBefore, domain() === undefined ? 0 : 1);
  });
}

for (const [name, start, settings] of [
  ['NTLM', () => startNtlmParent(winbind), () => accountOf(winbind.domain)],
  ['Negotiate', () => startNegotiateParent(kdc), () => ({})],
  ['Digest', startDigestParent, accountOf],
] as const) {
  test(`${name}: ${AT_ONCE} requests at once, of a proxy that has just started, all pass`, { skip }, async () => {
    await using parent = await start();
    const environment = { PW: alice.password, ...(name === 'Negotiate' ? kdc.good : kdc.none) };
    using proxy = await ThroughParent.start(origin, byName(parent), settings(), environment);
    const asking = Array.from({ length: AT_ONCE }, (_, n) => (n % 2 === 0 ? proxy.get() : proxy.tunnel()));
    for (const { status, text } of await Promise.all(asking)) assert.equal(status, 200, text);
    assert.equal(
      failedLogons(parent.log.entries()).filter(({ credentials }) => !credentials?.startsWith('Digest')).length,
      0,
    );
  });
}
