/** Proof that the lab judges as it should: other people's clients pass with what is right, and with nothing else. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import { after, before, test } from 'node:test';
import { missing } from '../support/requires.ts';
import { type Ran, run } from '../support/run.ts';
import { connectionsOf, failedLogons, handshakes } from './access-log.ts';
import { ACCOUNTS, ALL_ACCOUNTS, type LabAccount } from './accounts.ts';
import { FOREIGN_NAME, type Kdc, startKdc } from './kdc.ts';
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
import { SambaClient } from './samba-client.ts';
import { PROXY_NAME, type SquidParent } from './squid-parent.ts';
import { startWinbind, type Winbind } from './winbind.ts';

const skip = noLab() || missing('curl');
const WRONG = 'wrong';
const { alice, bob, carol } = ACCOUNTS;

const origin = createServer((_, response) => response.end('reached'));
let page: string;
let winbind: Winbind;
let kdc: Kdc;

before(async () => {
  if (skip !== false) return;
  await once(origin.listen(0, '127.0.0.1'), 'listening');
  const address = origin.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  page = `http://127.0.0.1:${address.port}/`;
  [winbind, kdc] = await Promise.all([startWinbind(), startKdc()]);
});

after(async () => {
  origin.close();
  await winbind?.[Symbol.asyncDispose]();
  await kdc?.[Symbol.asyncDispose]();
});

/** The statuses that curl was told: of a request, or of a CONNECT and what came through the tunnel. */
async function curl(
  proxy: string,
  words: readonly string[],
  environment: Record<string, string> = {},
): Promise<string> {
  const told = ['-s', '-o', '/dev/null', '-w', '%{http_connect} %{http_code} '];
  const { out }: Ran = await run('curl', [...told, '--noproxy', '', '-x', proxy, ...words, page], { environment });
  return out.replaceAll(/000 (?=\d)/g, '').trim();
}

/** curl decodes percent signs in an account. */
const as = ({ user }: LabAccount, password: string): string[] => ['-U', `${user}:${encodeURIComponent(password)}`];

/** One request on the agent's one connection, with these credentials. */
async function ask({ port }: SquidParent, agent: Agent, credentials?: string): Promise<IncomingMessage> {
  const headers = { ...(credentials !== undefined && { 'Proxy-Authorization': credentials }) };
  const [response]: IncomingMessage[] = await once(
    request({ host: '127.0.0.1', port, path: page, headers, agent }).end(),
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
  const response = md5(md5(user, 'lab', password), nonce, nc, 'c', 'auth', md5('GET', page));
  const fields = `username="${user}", realm="lab", nonce="${nonce}", uri="${page}", response="${response}"`;
  return `Digest ${fields}, qop=auth, nc=${nc}, cnonce="c"`;
}

/** The status of a logon by Samba's client, under the given scheme. */
async function sambaLogon(parent: SquidParent, scheme: string, client: SambaClient): Promise<number | undefined> {
  const agent = one();
  try {
    const first = await ask(parent, agent, `${scheme} ${await client.token()}`);
    const [challenge = ''] = challengesOf(first).filter((text) => text.startsWith(`${scheme} `));
    const last = await ask(parent, agent, `${scheme} ${await client.token(challenge.slice(scheme.length + 1))}`);
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
  ['basic', startBasicParent],
  ['digest', startDigestParent],
] as const) {
  test(`${scheme}: each account passes with its own password alone, and is named in the log`, { skip }, async () => {
    await using parent = await start();
    for (const account of ALL_ACCOUNTS) {
      const flag = `--proxy-${scheme}`;
      assert.equal(await curl(parent.url, [flag, ...as(account, account.password)]), '200');
      assert.equal(await curl(parent.url, [flag, '-p', ...as(account, account.password)]), '200 200');
      const overTls = ['--proxy-cacert', parent.ca, flag, ...as(account, account.password)];
      assert.equal(await curl(parent.tlsUrl, overTls), '200');
      assert.equal(await curl(parent.url, [flag, ...as(account, WRONG)]), '407');
      const passed = (await parent.log.until((all) => all.filter(({ status }) => status === 200).length === 3)).filter(
        ({ status }) => status === 200,
      );
      assert.deepEqual(
        passed.map(({ user }) => user),
        [account.user, account.user, account.user],
      );
      await parent.log.until((all) => failedLogons(all).length === 1);
      parent.log.forget();
    }
    assert.equal(await curl(parent.url, []), '407');
  });
}

test('digest: a nonce that was used up is followed by another one, and then called stale', { skip }, async () => {
  await using parent = await startDigestParent({ nonceUses: 3 });
  const agent = one();
  const first = challengesOf(await ask(parent, agent))[0] ?? '';
  const nonce = /nonce="([^"]+)"/.exec(first)?.[1] ?? '';
  const answers: IncomingMessage[] = [];
  for (let use = 1; use <= 5; use++) answers.push(await ask(parent, agent, digestOf(alice, nonce, use)));
  agent.destroy();
  assert.deepEqual(
    answers.map(({ statusCode }) => statusCode),
    [200, 200, 200, 200, 407],
  );
  const next = answers.map(({ headers }) => String(headers['proxy-authentication-info'] ?? '').split('=')[0]);
  assert.deepEqual(next, ['', 'nextnonce', 'nextnonce', 'nextnonce', '']);
  assert.match(challengesOf(answers[4] ?? assert.fail())[0] ?? '', /^Digest .*, stale=true$/);
});

test('a parent that closes after a 407 does so, and lets in who comes back', { skip }, async () => {
  for (const [scheme, starting] of [
    ['basic', startBasicParent({ after407: 'closes' })],
    ['digest', startDigestParent({ after407: 'closes' })],
    ['ntlm', startNtlmParent(winbind, { after407: 'closes' })],
  ] as const) {
    await using parent = await starting;
    const agent = one();
    const refused = await ask(parent, agent);
    agent.destroy();
    assert.deepEqual([refused.statusCode, refused.headers.connection], [407, 'close'], scheme);
    assert.equal(await curl(parent.url, [`--proxy-${scheme}`, ...as(alice, alice.password)]), '200', scheme);
  }
});

test('ntlm: winbind passes right passwords, counts wrong ones, and a connection logs in once', { skip }, async () => {
  await using parent = await startNtlmParent(winbind);
  const failedBefore = winbind.failedLogons();
  for (const { user, password } of [alice, bob]) {
    const account = { user: `${winbind.domain}\\${user}`, password };
    assert.equal(
      await curl(parent.url, ['--proxy-ntlm', ...as(account, password), '-o', '/dev/null', page]),
      '200 200',
    );
    assert.equal(
      await curl(parent.tlsUrl, ['--proxy-cacert', parent.ca, '--proxy-ntlm', ...as(account, password)]),
      '200',
    );
    const entries = await parent.log.until((all) => all.filter(({ status }) => status === 200).length === 3);
    assert.deepEqual([handshakes(entries).length, connectionsOf(entries)], [2, 2]);
    assert.equal(entries.at(-1)?.user, `${winbind.domain}\\${user}`);
    assert.equal(failedLogons(entries).length, 0);
    parent.log.forget();
  }
  assert.equal(winbind.failedLogons() - failedBefore, 0);
  assert.equal(await curl(parent.url, ['--proxy-ntlm', ...as(alice, WRONG)]), '407');
  await parent.log.until((all) => failedLogons(all).length === 1);
  assert.equal(winbind.failedLogons() - failedBefore, 1);
});

test('ntlm: a password outside ASCII passes, bare and inside SPNEGO', { skip }, async () => {
  for (const [kind, scheme, starting] of [
    ['ntlm', 'NTLM', startNtlmParent(winbind)],
    ['spnego', 'Negotiate', startSpnegoNtlmParent(winbind)],
    ['ntlm', 'Negotiate', startEitherParent(winbind, kdc)],
  ] as const) {
    await using parent = await starting;
    const failedBefore = winbind.failedLogons();
    await using right = new SambaClient(kind, carol, winbind.domain);
    assert.equal(await sambaLogon(parent, scheme, right), 200, `${kind} under ${scheme}`);
    await using wrong = new SambaClient(kind, { ...carol, password: 'Grusse-€1' }, winbind.domain);
    assert.equal(await sambaLogon(parent, scheme, wrong), 407, `${kind} under ${scheme}`);
    const entries = await parent.log.until((all) => all.length === 4);
    assert.deepEqual(
      entries.map(({ status }) => status),
      [407, 200, 407, 407],
    );
    assert.deepEqual([handshakes(entries).length, failedLogons(entries).length], [2, 1]);
    assert.equal(winbind.failedLogons() - failedBefore, 1);
  }
});

test('negotiate: a good ticket for the right name passes, and nothing else does', { skip }, async () => {
  await using parent = await startNegotiateParent(kdc);
  const named = (name: string): string => `http://${name}:${parent.port}`;
  const resolving = [
    '--resolve',
    `${PROXY_NAME}:${parent.port}:127.0.0.1`,
    '--resolve',
    `${FOREIGN_NAME}:${parent.port}:127.0.0.1`,
  ];
  const ticket = ['--proxy-negotiate', '-U', ':', ...resolving];
  assert.equal(await curl(named('localhost'), ticket, kdc.good), '200');
  assert.equal(await curl(named('localhost'), [...ticket, '-p'], kdc.good), '200 200');
  assert.equal(await curl(named(PROXY_NAME), ticket, kdc.good), '200');
  const overTls = ['--proxy-cacert', parent.ca, ...ticket];
  assert.equal(await curl(parent.tlsUrl, overTls, kdc.good), '200');
  const passed = await parent.log.until((all) => handshakes(all).length === 4);
  assert.deepEqual(
    passed.map(({ status, user }) => `${status} ${user}`),
    Array(4).fill('200 alice@LAB.TEST'),
  );
  parent.log.forget();
  assert.equal(await curl(named('localhost'), ticket, kdc.none), '407');
  assert.equal(await curl(named('localhost'), ticket, await kdc.expired()), '407');
  assert.equal(await curl(named('127.0.0.1'), ticket, kdc.good), '407');
  assert.equal(handshakes(parent.log.entries()).length, 0);
  assert.equal(await curl(named(FOREIGN_NAME), ticket, kdc.good), '407');
  await parent.log.until((all) => failedLogons(all).length === 1);
  // A token is good once.
  const agent = one();
  const again = await ask(parent, agent, passed[0]?.credentials);
  agent.destroy();
  assert.equal(again.statusCode, 407);
});

test('all four schemes are offered, weakest first, and each passes', { skip }, async () => {
  await using parent = await startAllSchemesParent(winbind, kdc);
  const agent = one();
  const offered = challengesOf(await ask(parent, agent)).map((challenge) => challenge.split(' ')[0]);
  agent.destroy();
  assert.deepEqual(offered, ['Basic', 'Digest', 'NTLM', 'Negotiate']);
  const url = `http://localhost:${parent.port}`;
  for (const scheme of ['basic', 'digest', 'ntlm']) {
    assert.equal(await curl(url, [`--proxy-${scheme}`, ...as(alice, alice.password)]), '200', scheme);
  }
  assert.equal(await curl(url, ['--proxy-negotiate', '-U', ':'], kdc.good), '200');
});

test('tls: a certificate for another name, or of another authority, is refused by who looks', { skip }, async () => {
  await using parent = await startBasicParent();
  await using other = await startBasicParent();
  const account = ['--proxy-basic', ...as(alice, alice.password)];
  const elsewhere = ['--resolve', `${FOREIGN_NAME}:${parent.tlsPort}:127.0.0.1`];
  assert.equal(await curl(parent.tlsUrl, ['--proxy-cacert', parent.ca, ...account]), '200');
  const misnamed = `https://${FOREIGN_NAME}:${parent.tlsPort}`;
  assert.equal(await curl(misnamed, ['--proxy-cacert', parent.ca, ...elsewhere, ...account]), '000');
  assert.equal(await curl(misnamed, ['--proxy-insecure', ...elsewhere, ...account]), '200');
  assert.equal(await curl(parent.tlsUrl, ['--proxy-cacert', other.ca, ...account]), '000');
});

test('two labs stand side by side, and leave neither files nor processes', { skip }, async () => {
  const [first, second] = await Promise.all([startWinbind(), startWinbind()]);
  const parent = await startNtlmParent(second);
  const folders = [first, second, parent].map(({ daemon }) => daemon.folder.path);
  const pids = folders.flatMap(processesOf);
  assert.ok(pids.length > 3);
  await first[Symbol.asyncDispose]();
  assert.equal(await curl(parent.url, ['--proxy-ntlm', ...as(alice, alice.password)]), '200');
  await parent[Symbol.asyncDispose]();
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
