/** Clients that sign on with Kerberos: curl and MIT's KDC. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { resolveOptions } from '../../src/config/schema.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { Web } from '../support/web.ts';
import { ACCOUNTS } from './accounts.ts';
import { type Kdc, type KerberosEnvironment, REALM, startKdc } from './kdc.ts';
import { noLab } from './private.ts';

const skip = noLab() || missing('curl');
const folder = temporaryFolder();
const BOB = { bob: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' };
const lookup = () => Promise.resolve(['127.0.0.1']);

let kdc: Kdc;
let web: Web;
let proxy: ProxyUnderTest;
let url: string;
let tls: string;

before(async () => {
  if (skip !== false) return;
  kdc = await startKdc();
  // The proxy reads it in this process, when it checks the first ticket.
  process.env.KRB5_CONFIG = kdc.good.KRB5_CONFIG;
  web = await Web.open();
  url = `http://origin.test:${web.port}/a`;
  tls = `https://origin.test:${web.tlsPort}/b`;
  proxy = await ProxyUnderTest.start(
    {
      listen: { url: 'http://127.0.0.1:0', negotiate: { keytab: kdc.keytab, realm: REALM } },
      access: [{ name: 'office', allow: { users: ['alice', 'bob'] } }, { default: 'deny' }],
      clients: { users: BOB },
    },
    { lookup },
  );
});
beforeEach(() => (skip === false ? proxy.forget() : undefined));
after(async () => {
  folder[Symbol.dispose]();
  if (skip !== false) return;
  for (const one of [proxy, web, kdc]) await one[Symbol.asyncDispose]();
});

/** Tickets are for the name `localhost`, and not for an address. */
const curl = (tickets: KerberosEnvironment, ...words: string[]) =>
  run('curl', ['-sS', '-k', '--max-time', '8', '-x', `http://localhost:${proxy.port}`, ...words], {
    environment: tickets,
  });

test('curl signs on with a ticket: a page in the clear, one over TLS, and an upload', { skip }, async () => {
  const signsOn = ['--proxy-negotiate', '-U', ':'];
  for (const [words, answer] of [
    [[url], 'hello from /a\n'],
    [[tls], 'hello from /b\n'],
    [['-d', 'x'.repeat(50_000), url], 'got 50000 bytes\n'],
    [[url, url], 'hello from /a\nhello from /a\n'],
  ] as const) {
    const { out, err } = await curl(kdc.good, ...signsOn, ...words);
    assert.equal(out, answer, err);
  }
  const served = proxy.records.filter(({ status }) => status === 200);
  assert.deepEqual(
    new Set(served.map(({ principal, rule }) => `${principal} by ${rule}`)),
    new Set(['alice by office']),
  );
});

test('without a ticket a client is asked for one, and for a password where there are users', { skip }, async () => {
  const client = await proxy.client();
  client.send(`GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const head = await client.until('\r\n\r\n');
  assert.deepEqual(head.match(/^Proxy-Authenticate: .*$/gim), [
    'Proxy-Authenticate: Negotiate',
    'Proxy-Authenticate: Basic realm="viaduct", charset="UTF-8"',
  ]);
  client.socket.destroy();
  const { out } = await curl(kdc.none, '--proxy-basic', '-U', 'bob:secret', url);
  assert.equal(out, 'hello from /a\n');
});

test('what is no ticket of this realm is refused, and the log says why', { skip }, async () => {
  const ntlm = Buffer.from('NTLMSSP\0\x01\0\0\0\0\0\0\0', 'latin1').toString('base64');
  const { out } = await curl(kdc.good, '--proxy-negotiate', '-U', ':', url);
  assert.equal(out, 'hello from /a\n');
  await proxy.forget();
  for (const [token, why] of [
    [ntlm, 'the client sends NTLM instead of a Kerberos ticket'],
    ['AAAA', 'not a token of Negotiate'],
    ['', 'Negotiate without a token'],
  ] as const) {
    const client = await proxy.client();
    client.send(`GET ${url} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Negotiate ${token}\r\n\r\n`);
    assert.match(await client.until('\r\n'), /^HTTP\/1\.1 407 /);
    client.socket.destroy();
    assert.equal(proxy.records.at(-1)?.detail, why);
  }
});

test('a keytab without our key refuses tickets; other listeners ask for none', { skip }, async () => {
  const keytab = folder.write('empty.keytab', Buffer.from([5, 2]).toString('latin1'));
  await using other = await ProxyUnderTest.start(
    { listen: [{ url: 'http://127.0.0.1:0', negotiate: { keytab } }, 'any://127.0.0.1:0'] },
    { lookup },
  );
  const words = ['-sS', '--max-time', '8', '--proxy-negotiate', '-U', ':', '-x', `http://localhost:${other.port}`, url];
  await run('curl', words, { environment: kdc.good });
  assert.match(other.records.at(-1)?.detail ?? '', /^the keytab cannot be used: |^Kerberos says: /);
  const open = new URL(other.proxy.urls[1] ?? '').port;
  for (const way of [
    ['-x', `http://127.0.0.1:${open}`],
    ['--socks5', `127.0.0.1:${open}`],
  ]) {
    const { out, err } = await run('curl', ['-sS', ...way, `http://127.0.0.1:${web.port}/a`]);
    assert.equal(out, 'hello from /a\n', err);
  }
});

test('a whole name where no realm is set, and a reload that stops asking', { skip }, async () => {
  await using whole = await ProxyUnderTest.start(
    { listen: { url: 'http://127.0.0.1:0', negotiate: { keytab: kdc.keytab } } },
    { lookup },
  );
  const ask = () =>
    run('curl', ['-sS', '--proxy-negotiate', '-U', ':', '-x', `http://localhost:${whole.port}`, url], {
      environment: kdc.good,
    });
  assert.equal((await ask()).out, 'hello from /a\n');
  assert.equal(whole.records.at(-1)?.principal, `alice@${REALM}`);
  await whole.proxy.reload(resolveOptions({ listen: 'http://127.0.0.1:0', log: { format: 'off' } }));
  assert.equal((await ask()).out, 'hello from /a\n');
  assert.equal(whole.records.at(-1)?.principal, undefined);
});

test('a frozen KDC is none of our business: the keytab is all that a ticket needs', { skip }, async () => {
  const bobs = { ...kdc.good, KRB5CCNAME: kdc.kinit(ACCOUNTS.bob) };
  const first = await curl(bobs, '--proxy-negotiate', '-U', ':', url);
  assert.equal(first.out, 'hello from /a\n', first.err);
  kdc.daemon.kill('SIGSTOP');
  try {
    const { out } = await curl(bobs, '--proxy-negotiate', '-U', ':', url);
    assert.equal(out, 'hello from /a\n');
    assert.equal(proxy.records.at(-1)?.principal, 'bob');
  } finally {
    kdc.daemon.kill('SIGCONT');
  }
});
