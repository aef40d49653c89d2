import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../contracts/failure.ts';
import { Secret } from '../contracts/secret.ts';
import type { UpstreamAccount } from '../contracts/upstream-account.ts';
import type { ResponseHeadText } from '../protocol/http1/response-head.ts';
import { parseProxyUrl } from '../protocol/routes/proxy-url.ts';
import type { AuthSession } from './auth-session.ts';
import { ProxyAuthCache } from './proxy-auth-cache.ts';
import { UpstreamAuth } from './upstream-auth.ts';

const CONNECT = { method: 'CONNECT', uri: 'far.test:443', body: 'none' } as const;
const STREAM = new Writable();
/** A challenge message of NTLM with a target name and no target information (MS-NLMP §2.2.1.2). */
const TYPE_2 =
  'TlRMTVNTUAACAAAADAAMADgAAAAzgoriASNFZ4mrze8AAAAAAAAAACQAJABEAAAABgBwFwAAAA9TAGUAcgB2AGUAcgACAAwARABvAG0AYQBpAG4AAQAMAFMAZQByAHYAZQByAAAAAAA=';

const response = (status: number, ...challenges: string[]): ResponseHeadText => ({
  version: '1.1',
  status,
  reason: '',
  headers: challenges.map((challenge) => ['Proxy-Authenticate', challenge] as const),
});

type Known = Extract<UpstreamAccount, { at: 'known' }>;

/** The sessions of one account at one proxy. */
async function sessions(
  account: Partial<Known> = {},
  clock = new ManualClock(),
): Promise<(connection?: 'anonymous' | 'authenticated') => AuthSession> {
  const password = new Secret('s3cret');
  const credential = {
    user: 'me',
    domain: 'CORP',
    secret: { kind: 'password', password },
    source: 'test',
    id: 'id',
  } as const;
  const auth = new UpstreamAuth({
    credentials: {
      accountAt: () => Promise.resolve({ at: 'known', schemes: ['ntlm', 'digest', 'basic'], credential, ...account }),
    },
    cache: new ProxyAuthCache(clock),
    kerberos: undefined,
    workstation: '',
    clock,
  });
  const context = await auth.contextFor(parseProxyUrl('http://p.test:3128', 'user'));
  const within = { signal: new AbortController().signal, observe: () => undefined };
  return (connection = 'anonymous') => context.createSession(within, connection);
}

/** The scheme of the credentials that the next message carries. */
async function nextScheme(session: AuthSession): Promise<string> {
  const fields = await session.fieldsFor(CONNECT, STREAM);
  return fields.find(([name]) => name === 'Proxy-Authorization')?.[1].split(' ')[0] ?? 'none';
}

test('Basic: nothing before a 407, the same connection after it, and at once in the next session', async () => {
  const start = await sessions({ schemes: ['basic'] });
  using first = start();
  assert.equal(await nextScheme(first), 'none');
  assert.equal(await first.onRefused(response(407, 'Basic realm="x"'), 'open'), 'same-connection');
  assert.equal(await nextScheme(first), 'Basic');
  await first.onPassed(response(200), 'proxy');
  assert.equal(first.connectionState, 'anonymous');
  using second = start();
  assert.equal(await nextScheme(second), 'Basic');
});

test('NTLM: a fresh connection for the first message, the same for the second, tainted until that has passed', async () => {
  const start = await sessions();
  using session = start();
  assert.equal(await nextScheme(session), 'none');
  assert.equal(await session.onRefused(response(407, 'NTLM'), 'open'), 'fresh-connection');
  assert.equal(session.connectionState, 'anonymous');
  assert.equal(await nextScheme(session), 'NTLM');
  assert.deepEqual([session.connectionState, session.isMidway], ['tainted', true]);
  assert.equal(await session.onRefused(response(407, `NTLM ${TYPE_2}`), 'doubtful'), 'same-connection');
  assert.equal(await nextScheme(session), 'NTLM');
  assert.deepEqual([session.connectionState, session.isMidway], ['tainted', false]);
  await session.onPassed(response(200), 'proxy');
  assert.equal(session.connectionState, 'authenticated');
  assert.equal(await nextScheme(session), 'none', 'the connection itself is authenticated');
});

test('a proxy that lets the first message of a login pass leaves the connection tainted, and nothing more is sent', async () => {
  const start = await sessions({ schemes: ['ntlm'] });
  using session = start();
  await session.onRefused(response(407, 'NTLM'), 'open');
  assert.equal(await nextScheme(session), 'NTLM');
  await session.onPassed(response(200), 'proxy');
  assert.equal(session.connectionState, 'tainted');
  assert.equal(await nextScheme(session), 'none');
});

test('an authenticated connection carries no credentials, and a 407 on it starts a login', async () => {
  const start = await sessions();
  using session = start('authenticated');
  assert.deepEqual([session.hasIdentified, await session.canSendBody()], [true, true]);
  assert.equal(await nextScheme(session), 'none');
  assert.equal(await session.onRefused(response(407, 'NTLM'), 'open'), 'fresh-connection');
  assert.equal(session.connectionState, 'anonymous');
  assert.equal(await nextScheme(session), 'NTLM');
});

test('a rejected secret exhausts the session for every scheme: one failed login, and no other', async () => {
  const start = await sessions();
  using session = start();
  await session.onRefused(response(407, 'Basic realm="x"'), 'open');
  assert.equal(await nextScheme(session), 'Basic');
  const isRejection = (error: unknown) =>
    error instanceof ProxyError && /has rejected the password of CORP\\me/.test(error.detail);
  await assert.rejects(session.onRefused(response(407, 'Basic realm="x"', 'NTLM'), 'open'), isRejection);
  await assert.rejects(session.fieldsFor(CONNECT, STREAM), isRejection, 'no message goes out any more');
  using next = start();
  await assert.rejects(next.onRefused(response(407, 'NTLM'), 'open'), isRejection);
});

test('unrequested Basic that gets no response is withdrawn once, and the message goes out without it', async () => {
  const start = await sessions({ schemes: ['basic'], sendsBasic: 'on-trial' });
  using session = start();
  assert.equal(await nextScheme(session), 'Basic');
  assert.equal(session.isUnrequested, true);
  assert.equal(await session.onNoResponse('proxy'), 'withdrawn');
  assert.equal(await nextScheme(session), 'none');
  assert.equal(await session.onNoResponse('proxy'), 'sent');
  using next = start();
  assert.equal(await nextScheme(next), 'none');
});

test('a login that was interrupted begins anew on the next connection, with the same permission', async () => {
  const clock = new ManualClock();
  const start = await sessions({}, clock);
  using session = start();
  await session.onRefused(response(407, 'NTLM'), 'open');
  assert.equal(await nextScheme(session), 'NTLM');
  assert.equal(await session.onNoResponse('proxy'), 'sent');
  assert.equal(session.connectionState, 'anonymous');
  assert.equal(await nextScheme(session), 'NTLM');
  assert.equal(session.isMidway, true);
  assert.equal(clock.pending, 0);
});
