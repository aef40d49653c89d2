/** Checks the lab itself: curl and Samba's client are accepted with right credentials, and rejected without. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { test } from 'node:test';
import { missing } from '../support/requires.ts';
import { type RunResult, run } from '../support/run.ts';
import { connectionsOf, failedLogins, handshakes } from './access-log.ts';
import { ACCOUNTS, ALL_ACCOUNTS, type LabAccount } from './accounts.ts';
import { FOREIGN_NAME } from './kdc.ts';
import { noLab } from './private.ts';
import { SambaClient } from './samba-client.ts';
import { labServers } from './servers.ts';
import { PROXY_NAME, type SquidUpstream } from './squid-upstream.ts';
import {
  startAllSchemesUpstream,
  startBasicUpstream,
  startDigestUpstream,
  startEitherUpstream,
  startNegotiateUpstream,
  startNtlmUpstream,
  startSpnegoNtlmUpstream,
} from './upstream-proxies.ts';
import { startWinbind } from './winbind.ts';

const skip = noLab() || missing('curl');
const WRONG = 'wrong';
const { alice, bob, carol } = ACCOUNTS;

const lab = labServers(skip);
const page = () => `http://${lab.origin.authority}/`;

/** The statuses that curl received: of a request, or of a CONNECT and the response through the tunnel. */
async function curl(
  proxy: string,
  words: readonly string[],
  environment: Record<string, string> = {},
): Promise<string> {
  const options = ['-s', '-o', '/dev/null', '-w', '%{http_connect} %{http_code} '];
  const { out }: RunResult = await run('curl', [...options, '--noproxy', '', '-x', proxy, ...words, page()], {
    environment,
  });
  return out.replaceAll(/000 (?=\d)/g, '').trim();
}

/** curl decodes percent signs in an account. */
const as = ({ user }: LabAccount, password: string): string[] => ['-U', `${user}:${encodeURIComponent(password)}`];

/** One request on the agent's one connection, with these credentials. */
async function ask({ port }: SquidUpstream, agent: Agent, credentials?: string): Promise<IncomingMessage> {
  const headers = { ...(credentials !== undefined && { 'Proxy-Authorization': credentials }) };
  const [response]: IncomingMessage[] = await once(
    request({ host: '127.0.0.1', port, path: page(), headers, agent }).end(),
    'response',
  );
  if (response === undefined) throw new Error('no answer');
  response.resume();
  await once(response, 'end');
  return response;
}

const challengesOf = ({ headersDistinct }: IncomingMessage): string[] => headersDistinct['proxy-authenticate'] ?? [];
const one = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 });

/** RFC 7616 §3.4.1, MD5 and qop=auth. */
function digestOf({ user, password }: LabAccount, nonce: string, use: number): string {
  const md5 = (...parts: string[]): string => createHash('md5').update(parts.join(':')).digest('hex');
  const nc = use.toString(16).padStart(8, '0');
  const response = md5(md5(user, 'lab', password), nonce, nc, 'c', 'auth', md5('GET', page()));
  const fields = `username="${user}", realm="lab", nonce="${nonce}", uri="${page()}", response="${response}"`;
  return `Digest ${fields}, qop=auth, nc=${nc}, cnonce="c"`;
}

/** The status of a login by Samba's client, under the given scheme. */
async function sambaLogin(upstream: SquidUpstream, scheme: string, client: SambaClient): Promise<number | undefined> {
  const agent = one();
  try {
    const first = await ask(upstream, agent, `${scheme} ${await client.token()}`);
    const [challenge = ''] = challengesOf(first).filter((text) => text.startsWith(`${scheme} `));
    const last = await ask(upstream, agent, `${scheme} ${await client.token(challenge.slice(scheme.length + 1))}`);
    return last.statusCode;
  } finally {
    agent.destroy();
  }
}

/** Processes with this folder among their words. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(folder);
    } catch {
      return false;
    }
  });
}

for (const [scheme, start] of [
  ['basic', startBasicUpstream],
  ['digest', startDigestUpstream],
] as const) {
  test(`${scheme}: each account passes with its own password alone, and is named in the log`, { skip }, async () => {
    await using upstream = await start();
    for (const account of ALL_ACCOUNTS) {
      const flag = `--proxy-${scheme}`;
      assert.equal(await curl(upstream.url, [flag, ...as(account, account.password)]), '200');
      assert.equal(await curl(upstream.url, [flag, '-p', ...as(account, account.password)]), '200 200');
      const overTls = ['--proxy-cacert', upstream.ca, flag, ...as(account, account.password)];
      assert.equal(await curl(upstream.tlsUrl, overTls), '200');
      assert.equal(await curl(upstream.url, [flag, ...as(account, WRONG)]), '407');
      const passed = (
        await upstream.log.until((all) => all.filter(({ status }) => status === 200).length === 3)
      ).filter(({ status }) => status === 200);
      assert.deepEqual(
        passed.map(({ user }) => user),
        [account.user, account.user, account.user],
      );
      await upstream.log.until((all) => failedLogins(all).length === 1);
      upstream.log.forget();
    }
    assert.equal(await curl(upstream.url, []), '407');
  });
}

test('digest: a nonce that was used up is followed by another one, and then called stale', { skip }, async () => {
  await using upstream = await startDigestUpstream({ nonceUses: 3 });
  const agent = one();
  const first = challengesOf(await ask(upstream, agent))[0] ?? '';
  const nonce = /nonce="([^"]+)"/.exec(first)?.[1] ?? '';
  const answers: IncomingMessage[] = [];
  for (let use = 1; use <= 5; use++) answers.push(await ask(upstream, agent, digestOf(alice, nonce, use)));
  agent.destroy();
  assert.deepEqual(
    answers.map(({ statusCode }) => statusCode),
    [200, 200, 200, 200, 407],
  );
  const next = answers.map(({ headers }) => String(headers['proxy-authentication-info'] ?? '').split('=')[0]);
  assert.deepEqual(next, ['', 'nextnonce', 'nextnonce', 'nextnonce', '']);
  assert.match(challengesOf(answers[4] ?? assert.fail())[0] ?? '', /^Digest .*, stale=true$/);
});

test('an upstream proxy that closes after a 407 does so, and accepts the client on its next connection', {
  skip,
}, async () => {
  for (const [scheme, starting] of [
    ['basic', startBasicUpstream({ after407: 'closes' })],
    ['digest', startDigestUpstream({ after407: 'closes' })],
    ['ntlm', startNtlmUpstream(lab.winbind, { after407: 'closes' })],
  ] as const) {
    await using upstream = await starting;
    const agent = one();
    const refused = await ask(upstream, agent);
    agent.destroy();
    assert.deepEqual([refused.statusCode, refused.headers.connection], [407, 'close'], scheme);
    assert.equal(await curl(upstream.url, [`--proxy-${scheme}`, ...as(alice, alice.password)]), '200', scheme);
  }
});

test('ntlm: winbind passes right passwords, counts wrong ones, and a connection logs in once', {
  skip,
}, async () => {
  await using upstream = await startNtlmUpstream(lab.winbind);
  const failedBefore = lab.winbind.failedLogins();
  for (const { user, password } of [alice, bob]) {
    const account = { user: `${lab.winbind.domain}\\${user}`, password };
    assert.equal(
      await curl(upstream.url, ['--proxy-ntlm', ...as(account, password), '-o', '/dev/null', page()]),
      '200 200',
    );
    assert.equal(
      await curl(upstream.tlsUrl, ['--proxy-cacert', upstream.ca, '--proxy-ntlm', ...as(account, password)]),
      '200',
    );
    const entries = await upstream.log.until((all) => all.filter(({ status }) => status === 200).length === 3);
    assert.deepEqual([handshakes(entries).length, connectionsOf(entries)], [2, 2]);
    assert.equal(entries.at(-1)?.user, `${lab.winbind.domain}\\${user}`);
    assert.equal(failedLogins(entries).length, 0);
    upstream.log.forget();
  }
  assert.equal(lab.winbind.failedLogins() - failedBefore, 0);
  assert.equal(await curl(upstream.url, ['--proxy-ntlm', ...as(alice, WRONG)]), '407');
  await upstream.log.until((all) => failedLogins(all).length === 1);
  assert.equal(lab.winbind.failedLogins() - failedBefore, 1);
});

test('ntlm: a password outside ASCII passes, bare and inside SPNEGO', { skip }, async () => {
  for (const [kind, scheme, starting] of [
    ['ntlm', 'NTLM', startNtlmUpstream(lab.winbind)],
    ['spnego', 'Negotiate', startSpnegoNtlmUpstream(lab.winbind)],
    ['ntlm', 'Negotiate', startEitherUpstream(lab.winbind, lab.kdc)],
  ] as const) {
    await using upstream = await starting;
    const failedBefore = lab.winbind.failedLogins();
    await using right = new SambaClient(kind, carol, lab.winbind.domain);
    assert.equal(await sambaLogin(upstream, scheme, right), 200, `${kind} under ${scheme}`);
    await using wrong = new SambaClient(kind, { ...carol, password: 'Grusse-€1' }, lab.winbind.domain);
    assert.equal(await sambaLogin(upstream, scheme, wrong), 407, `${kind} under ${scheme}`);
    const entries = await upstream.log.until((all) => all.length === 4);
    assert.deepEqual(
      entries.map(({ status }) => status),
      [407, 200, 407, 407],
    );
    assert.deepEqual([handshakes(entries).length, failedLogins(entries).length], [2, 1]);
    assert.equal(lab.winbind.failedLogins() - failedBefore, 1);
  }
});

test('negotiate: a good ticket for the right name passes, and nothing else does', { skip }, async () => {
  await using upstream = await startNegotiateUpstream(lab.kdc);
  const named = (name: string): string => `http://${name}:${upstream.port}`;
  const resolving = [
    '--resolve',
    `${PROXY_NAME}:${upstream.port}:127.0.0.1`,
    '--resolve',
    `${FOREIGN_NAME}:${upstream.port}:127.0.0.1`,
  ];
  const ticket = ['--proxy-negotiate', '-U', ':', ...resolving];
  assert.equal(await curl(named('localhost'), ticket, lab.kdc.good), '200');
  assert.equal(await curl(named('localhost'), [...ticket, '-p'], lab.kdc.good), '200 200');
  assert.equal(await curl(named(PROXY_NAME), ticket, lab.kdc.good), '200');
  const overTls = ['--proxy-cacert', upstream.ca, ...ticket];
  assert.equal(await curl(upstream.tlsUrl, overTls, lab.kdc.good), '200');
  const passed = await upstream.log.until((all) => handshakes(all).length === 4);
  assert.deepEqual(
    passed.map(({ status, user }) => `${status} ${user}`),
    Array(4).fill('200 alice@LAB.TEST'),
  );
  upstream.log.forget();
  assert.equal(await curl(named('localhost'), ticket, lab.kdc.none), '407');
  assert.equal(await curl(named('localhost'), ticket, await lab.kdc.expired()), '407');
  assert.equal(await curl(named('127.0.0.1'), ticket, lab.kdc.good), '407');
  assert.equal(handshakes(upstream.log.entries()).length, 0);
  assert.equal(await curl(named(FOREIGN_NAME), ticket, lab.kdc.good), '407');
  await upstream.log.until((all) => failedLogins(all).length === 1);
  // A token is good once.
  const agent = one();
  const again = await ask(upstream, agent, passed[0]?.credentials);
  agent.destroy();
  assert.equal(again.statusCode, 407);
});

test('all four schemes are offered, weakest first, and each passes', { skip }, async () => {
  await using upstream = await startAllSchemesUpstream(lab.winbind, lab.kdc);
  const agent = one();
  const offered = challengesOf(await ask(upstream, agent)).map((challenge) => challenge.split(' ')[0]);
  agent.destroy();
  assert.deepEqual(offered, ['Basic', 'Digest', 'NTLM', 'Negotiate']);
  const url = `http://localhost:${upstream.port}`;
  for (const scheme of ['basic', 'digest', 'ntlm']) {
    assert.equal(await curl(url, [`--proxy-${scheme}`, ...as(alice, alice.password)]), '200', scheme);
  }
  assert.equal(await curl(url, ['--proxy-negotiate', '-U', ':'], lab.kdc.good), '200');
});

test('tls: a certificate for another name, or of another authority, is refused by a client that verifies it', {
  skip,
}, async () => {
  await using upstream = await startBasicUpstream();
  await using other = await startBasicUpstream();
  const account = ['--proxy-basic', ...as(alice, alice.password)];
  const elsewhere = ['--resolve', `${FOREIGN_NAME}:${upstream.tlsPort}:127.0.0.1`];
  assert.equal(await curl(upstream.tlsUrl, ['--proxy-cacert', upstream.ca, ...account]), '200');
  const misnamed = `https://${FOREIGN_NAME}:${upstream.tlsPort}`;
  assert.equal(await curl(misnamed, ['--proxy-cacert', upstream.ca, ...elsewhere, ...account]), '000');
  assert.equal(await curl(misnamed, ['--proxy-insecure', ...elsewhere, ...account]), '200');
  assert.equal(await curl(upstream.tlsUrl, ['--proxy-cacert', other.ca, ...account]), '000');
});

test('two labs stand side by side, and leave neither files nor processes', { skip }, async () => {
  const [first, second] = await Promise.all([startWinbind(), startWinbind()]);
  const upstream = await startNtlmUpstream(second);
  const folders = [first, second, upstream].map(({ daemon }) => daemon.folder.path);
  const pids = folders.flatMap(processesOf);
  assert.ok(pids.length > 3);
  await first[Symbol.asyncDispose]();
  assert.equal(await curl(upstream.url, ['--proxy-ntlm', ...as(alice, alice.password)]), '200');
  await upstream[Symbol.asyncDispose]();
  await second[Symbol.asyncDispose]();
  assert.deepEqual(
    pids.filter((pid) => existsSync(`/proc/${pid}`)),
    [],
  );
  assert.deepEqual(
    folders.filter((folder) => existsSync(folder)),
    [],
  );
});
