/** Origins that log on connections, with real clients: curl's NTLM through Squid, and its tickets of a real KDC. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NtlmOrigin } from '../support/ntlm-origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { accept } from './acceptor.ts';
import { ACCOUNTS } from './accounts.ts';
import { startKdc } from './kdc.ts';
import { noLab } from './private.ts';
import { startSquid } from './squid.ts';

/** More than one connection of a client would need to be mixed up, and few enough for a slow machine. */
const REQUESTS = 12;

/** Requests of one curl on one connection; the pages that it got. */
async function pages(
  port: number,
  url: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const urls = Array.from({ length: REQUESTS }, (_, at) => `${url}${at}`);
  const all = ['-sS', '--noproxy', '', '-x', `http://127.0.0.1:${port}`, ...words, ...urls];
  const { out, err, code } = await run('curl', all, { environment });
  assert.equal(code, 0, err);
  return out.trim().split('\n');
}

const ntlm = (user: string): string[] => ['--ntlm', '-u', `CORP\\${user}:secret`];

test('curls with NTLM, several at once, through Squid: each is served as its own user, and a client without an account as none', {
  skip: missing('squid-openssl', 'curl', 'openssl'),
}, async () => {
  await using squid = await startSquid();
  await using origin = await NtlmOrigin.listen({ challenges: ['Negotiate', 'NTLM'] });
  await using proxy = await ProxyUnderTest.start({ routes: { proxy: squid.plain } });
  const url = `http://${origin.authority}/`;
  for (let round = 0; round < 2; round++) {
    const users = ['alice', 'bob', 'carol'];
    const got = await Promise.all(users.map((user) => pages(proxy.port, url, ntlm(user))));
    for (const [at, user] of users.entries()) {
      const [first = ''] = got[at] ?? [];
      assert.match(first, new RegExp(`^CORP\\\\${user} on \\d+$`));
      assert.deepEqual(got[at], Array(REQUESTS).fill(first));
    }
    assert.deepEqual(new Set(await pages(proxy.port, url, [])), new Set(['who'.repeat(REQUESTS)]));
  }
  assert.equal(origin.logins, 6);
});

test('curls with tickets, two at once: each is served on its own connection, directly and through Squid', {
  skip: noLab() || missing('curl', 'openssl'),
}, async () => {
  await using kdc = await startKdc();
  await using squid = await startSquid();
  const before = process.env.KRB5_KTNAME;
  process.env.KRB5_KTNAME = kdc.keytab;
  try {
    for (const routes of [{}, { proxy: squid.plain }]) {
      let tickets = 0;
      await using origin = await NtlmOrigin.listen({
        challenges: ['Negotiate'],
        ticketOf: (ticket) => {
          const { major, token } = accept(ticket);
          return major === 0 ? { user: `ticket ${++tickets}`, answer: token } : undefined;
        },
      });
      await using proxy = await ProxyUnderTest.start({ routes });
      const url = `http://localhost:${origin.origin.port}/`;
      const bob = { ...kdc.good, KRB5CCNAME: kdc.kinit(ACCOUNTS.bob) };
      const asked = [kdc.good, bob].map((environment) =>
        pages(proxy.port, url, ['--negotiate', '-u', ':'], environment),
      );
      const got = await Promise.all(asked);
      const connections = got.map((lines) => new Set(lines.map((line) => / on (\d+)$/.exec(line)?.[1])));
      assert.deepEqual(
        connections.map(({ size }) => size),
        [1, 1],
        JSON.stringify(got),
      );
      assert.notDeepEqual(connections[0], connections[1]);
      assert.ok(!connections.some((set) => set.has(undefined)), JSON.stringify(got));
      assert.deepEqual(new Set(await pages(proxy.port, url, [])), new Set(['who'.repeat(REQUESTS)]));
    }
  } finally {
    if (before === undefined) delete process.env.KRB5_KTNAME;
    else process.env.KRB5_KTNAME = before;
  }
});
