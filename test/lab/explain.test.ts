/** `viaduct explain` at upstream proxies that require authentication: the whole exchange, its tokens taken apart, and no secret in it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viaductEnds } from '../support/cli.ts';
import { ACCOUNTS } from './accounts.ts';
import { noLab } from './private.ts';
import { labServers } from './servers.ts';
import type { SquidUpstream } from './squid-upstream.ts';
import {
  startDigestUpstream,
  startNegotiateUpstream,
  startNtlmUpstream,
  startSpnegoNtlmUpstream,
} from './upstream-proxies.ts';

const skip = noLab();
const { alice, carol } = ACCOUNTS;

const lab = labServers(skip);

const byName = ({ port }: SquidUpstream): string => `localhost:${port}`;

/** The page, and the exit code; through the upstream proxy itself, and through a Viaduct before it. */
async function pages(upstream: SquidUpstream, user: string, environment: Readonly<Record<string, string>>) {
  const url = `http://${lab.origin.authority}/`;
  const login = user === '' ? '' : `${user}@`;
  return [
    await viaductEnds(['explain', url, '--through', `http://${login}${byName(upstream)}`], environment),
    await viaductEnds(['explain', url, '--tunnel', '--through', `http://${login}${byName(upstream)}`], environment),
    await viaductEnds(['explain', url, '--proxy', `http://${login}${byName(upstream)}`], environment),
  ];
}

test('NTLM: all three messages, field by field', { skip }, async () => {
  for (const start of [startNtlmUpstream, startSpnegoNtlmUpstream]) {
    await using upstream = await start(lab.winbind);
    const user = `${lab.winbind.domain}%5C${carol.user}:${encodeURIComponent(carol.password)}`;
    for (const { code, out, err } of await pages(upstream, user, lab.kdc.none)) {
      assert.equal(code, 0, out + err);
      for (const line of [
        'NTLM message: Type 1, negotiate',
        'NTLM message: Type 2, challenge',
        `NetBIOS domain: ${lab.winbind.domain}`,
        'NTLM message: Type 3, authenticate',
        'user: carol',
        /NT response: NTLMv2, ••• \(\d+ bytes\)/,
        'MIC: ••• (16 bytes)',
      ]) {
        assert.ok(typeof line === 'string' ? out.includes(line) : line.test(out), `${line} in ${out}`);
      }
      assert.ok(!out.includes(carol.password) && !/TlRMTVNTUA/.test(out), out);
    }
  }
});

test('NTLM: a wrong password ends in words for people', { skip }, async () => {
  await using upstream = await startNtlmUpstream(lab.winbind);
  for (const { code, out } of await pages(upstream, `${lab.winbind.domain}%5Calice:wrong-7f3a`, lab.kdc.none)) {
    assert.equal(code, 1);
    assert.match(out.replaceAll(/\s+/g, ' '), /has rejected the password of NTLMBOX\\alice/);
    assert.doesNotMatch(out, /wrong-7f3a/);
  }
});

test('Negotiate: a ticket is named, and not shown', { skip }, async () => {
  await using upstream = await startNegotiateUpstream(lab.kdc);
  for (const { code, out, err } of await pages(upstream, '', lab.kdc.good)) {
    assert.equal(code, 0, out + err);
    assert.match(out, /mechanisms: Kerberos/);
    assert.match(out, /mechanism token: Kerberos, \d+ bytes/);
    assert.doesNotMatch(out, /Negotiate YI/);
  }
  for (const { code, out } of await pages(upstream, '', lab.kdc.none)) {
    assert.equal(code, 1);
    assert.match(out, /Kerberos: /);
  }
});

test('Digest: its parameters by name', { skip }, async () => {
  await using upstream = await startDigestUpstream();
  const user = `${alice.user}:${encodeURIComponent(alice.password)}`;
  for (const { code, out, err } of await pages(upstream, user, lab.kdc.none)) {
    assert.equal(code, 0, out + err);
    for (const line of ['username: alice', 'realm: lab', 'nc: 00000001', 'response: •••', 'cnonce: •••']) {
      assert.ok(out.includes(line), `${line} in ${out}`);
    }
  }
});

test('why reports until when the tickets are valid', { skip }, async () => {
  const words = ['why', '--proxy', 'http://localhost:1', 'https://example.test'];
  const { out } = await viaductEnds(words, lab.kdc.good);
  assert.match(out, /^ {2}account {2}a Kerberos ticket, good until \d{4}-\d\d-\d\d \d\d:\d\d UTC$/m);
  assert.match((await viaductEnds(words, lab.kdc.none)).out, /^ {2}account {2}a Kerberos ticket, if there is one$/m);
});
