/** `viaduct explain` at parents that ask: the whole conversation, its tokens taken apart, and no secret in it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { viaductEnds } from '../support/cli.ts';
import { ACCOUNTS } from './accounts.ts';
import { type Kdc, startKdc } from './kdc.ts';
import { startDigestParent, startNegotiateParent, startNtlmParent, startSpnegoNtlmParent } from './parents.ts';
import { noLab } from './private.ts';
import type { SquidParent } from './squid-parent.ts';
import { LabOrigin } from './through-parent.ts';
import { startWinbind, type Winbind } from './winbind.ts';

const skip = noLab();
const { alice, carol } = ACCOUNTS;

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

const byName = ({ port }: SquidParent): string => `localhost:${port}`;

/** The page, and the exit code; both ways: through the parent itself, and through a Viaduct before it. */
async function pages(parent: SquidParent, user: string, environment: Readonly<Record<string, string>>) {
  const url = `http://${origin.authority}/`;
  const login = user === '' ? '' : `${user}@`;
  return [
    await viaductEnds(['explain', url, '--through', `http://${login}${byName(parent)}`], environment),
    await viaductEnds(['explain', url, '--tunnel', '--through', `http://${login}${byName(parent)}`], environment),
    await viaductEnds(['explain', url, '--proxy', `http://${login}${byName(parent)}`], environment),
  ];
}

test('NTLM: all three messages, field by field', { skip }, async () => {
  for (const start of [startNtlmParent, startSpnegoNtlmParent]) {
    await using parent = await start(winbind);
    const user = `${winbind.domain}%5C${carol.user}:${encodeURIComponent(carol.password)}`;
    for (const { code, out, err } of await pages(parent, user, kdc.none)) {
      assert.equal(code, 0, out + err);
      for (const line of [
        'NTLM message: Type 1, negotiate',
        'NTLM message: Type 2, challenge',
        `NetBIOS domain: ${winbind.domain}`,
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
  await using parent = await startNtlmParent(winbind);
  for (const { code, out } of await pages(parent, `${winbind.domain}%5Calice:wrong-7f3a`, kdc.none)) {
    assert.equal(code, 1);
    assert.match(out.replaceAll(/\s+/g, ' '), /has rejected the password of NTLMBOX\\alice/);
    assert.doesNotMatch(out, /wrong-7f3a/);
  }
});

test('Negotiate: a ticket is named, and not shown', { skip }, async () => {
  await using parent = await startNegotiateParent(kdc);
  for (const { code, out, err } of await pages(parent, '', kdc.good)) {
    assert.equal(code, 0, out + err);
    assert.match(out, /mechanisms: Kerberos/);
    assert.match(out, /mechanism token: Kerberos, \d+ bytes/);
    assert.doesNotMatch(out, /Negotiate YI/);
  }
  for (const { code, out } of await pages(parent, '', kdc.none)) {
    assert.equal(code, 1);
    assert.match(out, /Kerberos: /);
  }
});

test('Digest: its parameters by name', { skip }, async () => {
  await using parent = await startDigestParent();
  const user = `${alice.user}:${encodeURIComponent(alice.password)}`;
  for (const { code, out, err } of await pages(parent, user, kdc.none)) {
    assert.equal(code, 0, out + err);
    for (const line of ['username: alice', 'realm: lab', 'nc: 00000001', 'response: •••', 'cnonce: •••']) {
      assert.ok(out.includes(line), `${line} in ${out}`);
    }
  }
});

test('why tells until when the tickets are good', { skip }, async () => {
  const words = ['why', '--proxy', 'http://localhost:1', 'https://example.test'];
  const { out } = await viaductEnds(words, kdc.good);
  assert.match(out, /^ {2}account {2}a Kerberos ticket, good until \d{4}-\d\d-\d\d \d\d:\d\d UTC$/m);
  assert.match((await viaductEnds(words, kdc.none)).out, /^ {2}account {2}a Kerberos ticket, if there is one$/m);
});
