/** Digest for clients, with the clients that use it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { builtCommand } from '../support/cli.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { Web } from '../support/web.ts';

const folder = temporaryFolder();
const certificate = join(folder.path, 'origin.pem');
const lookup = () => Promise.resolve(['127.0.0.1']);
let web: Web;
let proxy: ProxyUnderTest;
let https: string;
let http: string;

/** The lines that the command prints for a password. */
function digestLines(user: string, password: string): string {
  const words = [builtCommand(), 'hash', '--user', user, '--realm', 'viaduct'];
  return spawnSync(process.execPath, words, { input: password, encoding: 'utf8' }).stdout;
}

before(async () => {
  web = await Web.open();
  writeFileSync(certificate, web.certificate.cert);
  https = `https://origin.test:${web.tlsPort}`;
  http = `http://origin.test:${web.port}`;
  const bob = 'bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n';
  const users = folder.write('users', `# made by viaduct hash\n${digestLines('alice', 'secret')}${bob}`);
  proxy = await ProxyUnderTest.start({ clients: { users } }, { lookup });
});
beforeEach(() => proxy.forget());
after(async () => {
  for (const one of [proxy, web]) await one[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const curl = (...words: string[]) =>
  run('curl', ['-sS', '--max-time', '8', '--cacert', certificate, '-x', `http://127.0.0.1:${proxy.port}`, ...words]);
const statuses = () =>
  proxy.records.map(({ method, status, failure }) => `${method} ${status}${failure ? ` ${failure}` : ''}`);

test('viaduct hash --realm prints a line for each hash', () => {
  assert.equal(
    digestLines('Mufasa', 'Circle of Life'),
    // As `printf 'Mufasa:viaduct:Circle of Life' | sha256sum` has it, and md5sum.
    'Mufasa:viaduct:ec8a90398b4cd98c55105ec32067ecf6bff701ecdc37f02e134af9d95cd9f99f\n' +
      'Mufasa:viaduct:e1485129d69c9ceb24b52ec78ccc35b1\n',
  );
});

for (const option of ['--proxy-digest', '--proxy-anyauth'] as const) {
  test(`curl ${option}: a page in the clear, one over TLS, and an upload`, { skip: missing('curl') }, async () => {
    const user = ['-U', 'alice:secret', option];
    assert.equal((await curl(...user, `${http}/a?b=c`)).out, 'hello from /a?b=c\n');
    assert.equal((await curl(...user, `${https}/b`)).out, 'hello from /b\n');
    assert.equal((await curl(...user, '-d', 'x'.repeat(100_000), `${http}/c`)).out, 'got 100000 bytes\n');
    await proxy.when(({ records }) => records.filter(({ status }) => status === 200).length === 3);
    assert.deepEqual(
      statuses().filter((one) => one.endsWith(' 200')),
      ['GET 200', 'CONNECT 200', 'POST 200'],
    );
    assert.ok(proxy.records.every(({ principal }) => principal === 'alice' || principal === undefined));
  });
}

test('curl with a wrong password is refused', { skip: missing('curl') }, async () => {
  const { err } = await curl('-U', 'alice:wrong', '--proxy-digest', `${https}/b`);
  assert.match(err, /407/);
  assert.equal(proxy.records.at(-1)?.detail, 'wrong user name or password');
});

test('Basic serves a user of Digest lines too, and a user of htpasswd alone is offered nothing else', {
  skip: missing('curl'),
}, async () => {
  assert.equal((await curl('-U', 'alice:secret', '--proxy-basic', `${http}/a`)).out, 'hello from /a\n');
  assert.equal((await curl('-U', 'bob:secret', '--proxy-basic', `${http}/a`)).out, 'hello from /a\n');
  const client = await proxy.client();
  client.send(
    `GET ${http}/a HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Digest username="bob", realm="viaduct", nonce="x", uri="/a", qop=auth, nc=00000001, cnonce="y", response="00"\r\n\r\n`,
  );
  const head = await client.until('\r\n\r\n');
  assert.deepEqual(head.match(/^Proxy-Authenticate: \S+/gim), ['Proxy-Authenticate: Basic']);
  client.socket.destroy();
});

test('Java fetches over TLS with Digest, without any switch', { skip: missing('default-jdk-headless') }, async () => {
  const program = fileURLToPath(new URL('../support/programs/FetchWithLogin.java', import.meta.url));
  const words = ['-XX:TieredStopAtLevel=1', program, `${proxy.port}`, 'alice', 'secret', `${http}/a`, `${https}/b`];
  const { out, err } = await run('java', words);
  assert.equal(out, 'hello from /a\n\nhello from /b\n\n', err);
  await proxy.when(({ records }) => records.filter(({ status }) => status === 200).length === 2);
});

/** What a client is asked for by a request without credentials. */
async function challenge(): Promise<string> {
  const client = await proxy.client();
  client.send(`GET ${http}/a HTTP/1.1\r\nHost: x\r\n\r\n`);
  const head = await client.until('\r\n\r\n');
  client.socket.destroy();
  return head;
}

test('the strongest comes first, and each challenge is a field of its own', async () => {
  const fields = (await challenge())
    .match(/^Proxy-Authenticate: .*$/gim)
    ?.map((line) => line.replace(/nonce="[^"]+"/, 'nonce="…"'));
  assert.deepEqual(fields, [
    'Proxy-Authenticate: Digest realm="viaduct", qop="auth", algorithm=SHA-256, nonce="…", charset=UTF-8',
    'Proxy-Authenticate: Digest realm="viaduct", qop="auth", algorithm=MD5, nonce="…", charset=UTF-8',
    'Proxy-Authenticate: Basic realm="viaduct", charset="UTF-8"',
  ]);
});
