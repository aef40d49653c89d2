/** What a handshake and a wrong password cost, counted in the logs of Squid and winbind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionsOf, failedLogins, handshakes } from './access-log.ts';
import { ACCOUNTS } from './accounts.ts';
import { noLab } from './private.ts';
import { labServers } from './servers.ts';
import type { SquidUpstream } from './squid-upstream.ts';
import { ThroughUpstream } from './through-upstream.ts';
import {
  startAllSchemesUpstream,
  startBasicUpstream,
  startDigestUpstream,
  startNegotiateUpstream,
  startNtlmUpstream,
  startSpnegoNtlmUpstream,
} from './upstream-proxies.ts';

const skip = noLab();
const { alice } = ACCOUNTS;

const lab = labServers(skip);

const byName = ({ port }: SquidUpstream): string => `http://localhost:${port}`;
const accountOf = (domain?: string) => ({
  credentials: { default: { user: 'alice', from: 'env:PW', ...(domain === undefined ? {} : { domain }) } },
});

const REQUESTS = 1_000;

for (const [name, start, settings] of [
  ['NTLM', () => startNtlmUpstream(lab.winbind), () => accountOf(lab.winbind.domain)],
  ['NTLM in SPNEGO', () => startSpnegoNtlmUpstream(lab.winbind), () => accountOf(lab.winbind.domain)],
  ['Negotiate', () => startNegotiateUpstream(lab.kdc), () => ({})],
] as const) {
  test(`${name}: ${REQUESTS} requests, one after the other, cost one handshake`, { skip }, async () => {
    await using upstream = await start();
    const environment = { PW: alice.password, ...(name === 'Negotiate' ? lab.kdc.good : lab.kdc.none) };
    using proxy = await ThroughUpstream.start(lab.origin, byName(upstream), settings(), environment);
    for (let n = 0; n < REQUESTS; n++) {
      const { status, text } = n % 10 === 9 ? await proxy.put(100) : await proxy.get();
      assert.equal(status, 200, text);
    }
    const entries = await upstream.log.until(
      (all) => all.filter(({ status, method }) => status === 200 && method !== 'TRACE').length === REQUESTS,
    );
    assert.equal(handshakes(entries).length, 1);
    // The first was challenged, one probed while Squid waited for a name server that does not exist, and one logged on.
    assert.equal(connectionsOf(entries), 3);
  });
}

const AT_ONCE = 500;

for (const [name, start, domain] of [
  ['Basic', startBasicUpstream, () => undefined],
  ['Digest', startDigestUpstream, () => undefined],
  ['NTLM', () => startNtlmUpstream(lab.winbind), () => lab.winbind.domain],
  ['NTLM in SPNEGO', () => startSpnegoNtlmUpstream(lab.winbind), () => lab.winbind.domain],
  ['all four', () => startAllSchemesUpstream(lab.winbind, lab.kdc), () => lab.winbind.domain],
] as const) {
  test(`${name}: ${AT_ONCE} requests at once with a wrong password cost one failed login`, { skip }, async () => {
    await using upstream = await start();
    const failedBefore = lab.winbind.failedLogins();
    const environment = { PW: 'Passw0rd-Alicf', ...lab.kdc.none };
    using proxy = await ThroughUpstream.start(lab.origin, byName(upstream), accountOf(domain()), environment);
    const asking = Array.from({ length: AT_ONCE }, (_, n) => (n % 2 === 0 ? proxy.get() : proxy.tunnel()));
    for (const { status, text } of await Promise.all(asking))
      assert.ok(status === 502 && text.includes('start viaduct with the new one'), text);
    assert.equal(failedLogins(await upstream.log.until((all) => failedLogins(all).length > 0)).length, 1);
    assert.equal(lab.winbind.failedLogins() - failedBefore, domain() === undefined ? 0 : 1);
  });
}

for (const [name, start, settings] of [
  ['NTLM', () => startNtlmUpstream(lab.winbind), () => accountOf(lab.winbind.domain)],
  ['Negotiate', () => startNegotiateUpstream(lab.kdc), () => ({})],
  ['Digest', startDigestUpstream, accountOf],
] as const) {
  test(`${name}: ${AT_ONCE} requests at once, of a proxy that has just started, all pass`, { skip }, async () => {
    await using upstream = await start();
    const environment = { PW: alice.password, ...(name === 'Negotiate' ? lab.kdc.good : lab.kdc.none) };
    using proxy = await ThroughUpstream.start(lab.origin, byName(upstream), settings(), environment);
    const asking = Array.from({ length: AT_ONCE }, (_, n) => (n % 2 === 0 ? proxy.get() : proxy.tunnel()));
    for (const { status, text } of await Promise.all(asking)) assert.equal(status, 200, text);
    assert.equal(
      failedLogins(upstream.log.entries()).filter(({ credentials }) => !credentials?.startsWith('Digest')).length,
      0,
    );
  });
}
