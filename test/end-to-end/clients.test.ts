/**
 * Programs that people really use, each through the proxy to an origin on this machine. `origin.test` is known to the
 * proxy alone, so a client that answers has let the proxy resolve it.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ProxyAgent, fetch as undiciFetch, WebSocket } from 'undici';
import type { ConfigInput } from '../../src/config/schema.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { missing } from '../support/requires.ts';
import { type RunOptions, type RunResult, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { Web } from '../support/web.ts';

const ALICE: ConfigInput['clients'] = { users: { alice: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } };

/** Nothing but the test's own origin may be reached: browsers and package managers have errands of their own. */
const ONLY_ORIGIN: ConfigInput['access'] = [
  { name: 'origin', allow: { hosts: ['origin.test', '127.0.0.1', '[::1]'] } },
  { default: 'deny' },
];

const folder = temporaryFolder();
const certificate = join(folder.path, 'origin.pem');
const programs = fileURLToPath(new URL('../support/programs/', import.meta.url));

let web: Web;
let echoing: RawOrigin;
let proxy: ProxyUnderTest;
let guarded: ProxyUnderTest;
let http: string;
let https: string;

before(async () => {
  mkdirSync(join(folder.path, 'repositories'));
  web = await Web.open({ repositories: join(folder.path, 'repositories') });
  writeFileSync(certificate, web.certificate.cert);
  echoing = await RawOrigin.listen(echo);
  const lookup = () => Promise.resolve(['127.0.0.1']);
  proxy = await ProxyUnderTest.start({ access: ONLY_ORIGIN }, { lookup });
  guarded = await ProxyUnderTest.start({ access: ONLY_ORIGIN, clients: ALICE }, { lookup });
  http = `http://origin.test:${web.port}`;
  https = `https://origin.test:${web.tlsPort}`;
});

beforeEach(async () => {
  for (const one of [proxy, guarded]) await one.forget();
  web.seen.length = 0;
});

after(async () => {
  await proxy[Symbol.asyncDispose]();
  await guarded[Symbol.asyncDispose]();
  await echoing[Symbol.asyncDispose]();
  await web[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

/** Runs a client that must succeed. */
async function succeeds(program: string, words: readonly string[], how?: RunOptions): Promise<RunResult> {
  const ran = await run(program, words, how);
  assert.equal(ran.code, 0, `${program} ${words.join(' ')} ended with ${ran.code}\n${ran.out}\n${ran.err}`);
  return ran;
}

const curl = (...words: string[]): Promise<RunResult> =>
  succeeds('curl', ['-sS', '-x', `http://127.0.0.1:${proxy.port}`, '--cacert', certificate, ...words]);

/** What the proxy has recorded, once that is as much as `count`: a tunnel is recorded when it has ended. */
async function methods(count: number, from: ProxyUnderTest = proxy): Promise<string[]> {
  await from.when(({ records }) => records.length >= count);
  return from.records.map(({ method, status }) => `${method} ${status}`);
}

const noCurl = missing('curl');

test('curl: a plain request, whose fields for the proxy are not passed on', { skip: noCurl }, async () => {
  assert.equal((await curl(`${http}/a`)).out, 'hello from /a\n');
  assert.deepEqual(await methods(1), ['GET 200']);
  const [seen] = web.seen;
  assert.equal(seen?.headers.host, `origin.test:${web.port}`);
  assert.deepEqual(
    [seen?.headers['proxy-connection'], seen?.headers.via?.startsWith('1.1 viaduct-')],
    [undefined, true],
  );
});

test('curl: https, and plain HTTP in a tunnel', { skip: noCurl }, async () => {
  assert.equal((await curl(`${https}/a`)).out, 'hello from /a\n');
  assert.equal((await curl('-p', `${http}/a`)).out, 'hello from /a\n');
  assert.deepEqual(await methods(2), ['CONNECT 200', 'CONNECT 200']);
});

test('curl: several requests over one connection', { skip: noCurl }, async () => {
  const { out } = await curl(`${http}/a`, `${http}/b`, '-w', '%{num_connects};', `${http}/c`);
  assert.match(out, /hello from \/a\n1;hello from \/b\n0;hello from \/c\n0;/);
});

test('curl: HTTP/1.0 to the proxy, HEAD, and IPv6 in brackets', { skip: noCurl }, async () => {
  const one = await succeeds('curl', ['-sS', '--proxy1.0', `127.0.0.1:${proxy.port}`, '--cacert', certificate, https]);
  assert.equal(one.out, 'hello from /\n');
  assert.match((await curl('-I', `${http}/a`)).out, /^HTTP\/1\.1 200 OK\r\n/);
  await using six = await RawOrigin.listen(
    (peer) => peer.socket.once('data', () => peer.send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nsix').end()),
    { host: '::1' },
  );
  assert.equal((await curl(`http://[::1]:${six.port}/`)).out, 'six');
  assert.equal((await curl('-p', `http://[::1]:${six.port}/`)).out, 'six');
});

test('curl: an upload in chunks of unknown length with Expect: 100-continue', { skip: noCurl }, async () => {
  const input = 'x'.repeat(3_000_000);
  const words = ['-sS', '-x', `127.0.0.1:${proxy.port}`, '-T', '-', '-H', 'Expect: 100-continue', `${http}/up`];
  const { out } = await succeeds('curl', words, { input });
  assert.equal(out, 'got 3000000 bytes\n');
  assert.deepEqual(
    [web.seen[0]?.headers.expect, web.seen[0]?.headers['transfer-encoding']],
    ['100-continue', 'chunked'],
  );
});

test('curl: a password, asked for with 407, for plain requests, uploads and tunnels', { skip: noCurl }, async () => {
  const upload = join(folder.path, 'upload');
  writeFileSync(upload, 'x'.repeat(2_000_000));
  const through = ['-sS', '-x', `127.0.0.1:${guarded.port}`, '--cacert', certificate];
  const known = [...through, '-U', 'alice:secret', '--proxy-anyauth'];
  assert.equal((await succeeds('curl', [...known, `${http}/a`])).out, 'hello from /a\n');
  assert.equal((await succeeds('curl', [...known, `${https}/a`])).out, 'hello from /a\n');
  const posted = await succeeds('curl', [...known, '--data-binary', `@${upload}`, `${http}/up`]);
  assert.equal(posted.out, 'got 2000000 bytes\n');
  assert.deepEqual(await methods(6, guarded), [
    'GET 407',
    'GET 200',
    'CONNECT 407',
    'CONNECT 200',
    'POST 407',
    'POST 200',
  ]);
  const wrong = await run('curl', [...through, '-U', 'alice:wrong', '-w', '%{http_connect}', `${https}/a`]);
  assert.deepEqual([wrong.code, wrong.out], [56, '407']);
});

test('curl: a WebSocket handshake over plain proxying', { skip: noCurl }, async () => {
  const key = ['-H', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '-H', 'Sec-WebSocket-Version: 13'];
  const words = ['-sS', '-i', '--max-time', '1', '-x', `127.0.0.1:${proxy.port}`, '-H', 'Connection: Upgrade'];
  const { out } = await run('curl', [...words, '-H', 'Upgrade: websocket', ...key, `${http}/ws`]);
  assert.match(out, /^HTTP\/1\.1 101 [\s\S]*^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/m);
});

test('curl: a refusal has its reason, also for a program that tunnels', { skip: noCurl }, async () => {
  const words = ['-sS', '-x', `127.0.0.1:${proxy.port}`, '-w', '%{http_connect}', 'https://elsewhere.test/'];
  const { code, out } = await run('curl', words);
  assert.deepEqual([code, out], [56, '403']);
  assert.equal((await proxy.record()).rule, 'default');
});

test('wget: plain and https, with the proxy from the environment', { skip: missing('wget') }, async () => {
  const at = `http://127.0.0.1:${proxy.port}`;
  const environment = { http_proxy: at, https_proxy: at };
  assert.equal((await succeeds('wget', ['-qO-', `${http}/a`], { environment })).out, 'hello from /a\n');
  const words = ['-qO-', `--ca-certificate=${certificate}`, `${https}/a`];
  assert.equal((await succeeds('wget', words, { environment })).out, 'hello from /a\n');
  assert.deepEqual(await methods(2), ['GET 200', 'CONNECT 200']);
});

for (const scheme of ['http', 'https'] as const) {
  test(`git over ${scheme}: push, clone and fetch`, { skip: missing('git') }, async () => {
    const name = `${scheme}.git`;
    const cwd = join(folder.path, scheme);
    mkdirSync(cwd);
    const git = (...words: string[]) =>
      succeeds(
        'git',
        ['-c', `http.proxy=http://127.0.0.1:${proxy.port}`, '-c', `http.sslCAInfo=${certificate}`, ...words],
        {
          cwd,
          environment: {
            GIT_CONFIG_GLOBAL: '/dev/null',
            GIT_CONFIG_SYSTEM: '/dev/null',
            GIT_AUTHOR_NAME: 'a',
            GIT_AUTHOR_EMAIL: 'a@origin.test',
            GIT_COMMITTER_NAME: 'a',
            GIT_COMMITTER_EMAIL: 'a@origin.test',
          },
        },
      );
    const remote = `${scheme === 'http' ? http : https}/git/${name}`;
    await git('init', '-q', '--bare', '-b', 'main', join(folder.path, 'repositories', name));
    await git('init', '-q', '-b', 'main', 'work');
    // More than git sends in one piece: the push is a chunked POST.
    writeFileSync(join(cwd, 'work', 'file'), Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * at) % 251)));
    await git('-C', 'work', 'add', 'file');
    await git('-C', 'work', 'commit', '-q', '-m', 'one');
    await git('-c', 'http.postBuffer=1000', '-C', 'work', 'push', '-q', remote, 'main');
    await git('clone', '-q', remote, 'clone');
    assert.equal((await git('-C', 'clone', 'log', '--format=%s')).out, 'one\n');
    assert.match((await git('ls-remote', remote)).out, /refs\/heads\/main/);
    assert.ok(web.seen.some(({ method, headers }) => method === 'POST' && headers['transfer-encoding'] === 'chunked'));
    assert.ok(proxy.records.every(({ status }) => status === 200));
  });
}

test('openssl s_client: an HTTP/1.0 CONNECT without Host', { skip: missing('openssl') }, async () => {
  const words = ['s_client', '-quiet', '-proxy', `127.0.0.1:${proxy.port}`, '-connect', `origin.test:${web.tlsPort}`];
  const input = 'GET /a HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n';
  const { out } = await succeeds('openssl', [...words, '-servername', 'origin.test', '-CAfile', certificate], {
    input,
  });
  assert.match(out, /hello from \/a/);
  assert.equal((await proxy.record()).protocol, 'http/1.0');
});

/** Programs that turn their standard input and output into a tunnel, with their arguments. */
const PIPES: readonly (readonly [pkg: string, program: string, words: (port: number, to: number) => string[]])[] = [
  ['netcat-openbsd', 'nc', (port, to) => ['-N', '-X', 'connect', '-x', `127.0.0.1:${port}`, 'origin.test', `${to}`]],
  ['socat', 'socat', (port, to) => ['-t', '5', '-', `PROXY:127.0.0.1:origin.test:${to},proxyport=${port}`]],
  ['connect-proxy', 'connect-proxy', (port, to) => ['-H', `127.0.0.1:${port}`, 'origin.test', `${to}`]],
  ['corkscrew', 'corkscrew', (port, to) => ['127.0.0.1', `${port}`, 'origin.test', `${to}`]],
  ['proxytunnel', 'proxytunnel', (port, to) => ['-q', '-p', `127.0.0.1:${port}`, '-d', `origin.test:${to}`]],
];
for (const [pkg, program, words] of PIPES) {
  test(`${program}: what is sent comes back, also behind the end of what is sent`, { skip: missing(pkg) }, async () => {
    // These exit once their input has ended and drop what is still to come: the echo must be there before.
    const keepInput = program === 'corkscrew' || program === 'proxytunnel' || program === 'connect-proxy';
    const origin = keepInput
      ? await RawOrigin.listen((peer) => peer.socket.once('data', (word) => peer.send(word).end()))
      : echoing;
    const { out } = await run(program, words(proxy.port, origin.port), { input: 'there and back\n', keepInput });
    assert.equal(out, 'there and back\n');
    if (keepInput) await origin[Symbol.asyncDispose]();
  });
}

test('ssh over nc: the server speaks first', { skip: missing('openssh-client', 'netcat-openbsd') }, async () => {
  await using server = await RawOrigin.listen((peer) => peer.send('SSH-2.0-origin\r\n'));
  const hop = `ProxyCommand=nc -X connect -x 127.0.0.1:${proxy.port} %h %p`;
  const words = ['-F', '/dev/null', '-o', hop, '-o', 'ConnectTimeout=5', '-p', `${server.port}`, 'me@origin.test'];
  const running = run('ssh', words);
  const peer = await server.connection();
  assert.match(await peer.until('\r\n'), /^SSH-2\.0-OpenSSH/);
  // No length of a packet: ssh gives up.
  peer.send('\xff'.repeat(64)).end();
  assert.match((await running).err, /packet/);
});

test('Python urllib: HTTP/1.0 CONNECT, plain requests that close', { skip: missing('python3') }, async () => {
  const at = `http://127.0.0.1:${proxy.port}`;
  const environment = { http_proxy: at, https_proxy: at };
  const { out } = await succeeds('python3', [join(programs, 'fetch.py'), `${http}/a`, `${https}/b`], { environment });
  assert.equal(out, 'hello from /a\n\ngot 11 bytes\n\nhello from /b\n\ngot 11 bytes\n\n');
  assert.deepEqual(await methods(4), ['GET 200', 'POST 200', 'CONNECT 200', 'CONNECT 200']);
});

test('Java HttpClient', { skip: missing('default-jdk-headless') }, async () => {
  const words = ['-XX:TieredStopAtLevel=1', '-Djdk.internal.httpclient.disableHostnameVerification=true'];
  const urls = [`${http}/a`, `${https}/b`];
  const { out } = await succeeds('java', [...words, join(programs, 'Fetch.java'), `${proxy.port}`, ...urls]);
  assert.equal(out, 'hello from /a\n\ngot 9 bytes\n\nhello from /b\n\ngot 9 bytes\n\n');
  assert.deepEqual(await methods(3), ['GET 200', 'POST 200', 'CONNECT 200']);
});

for (const scheme of ['http', 'https'] as const) {
  test(`npm view from a registry over ${scheme}`, async () => {
    const at = `http://127.0.0.1:${proxy.port}`;
    const registry = `${scheme === 'http' ? http : https}/`;
    const quiet = ['--no-update-notifier', '--fetch-retries=0', `--cache=${join(folder.path, 'npm')}`];
    const words = [
      'view',
      'viaduct-test-package',
      'version',
      '--registry',
      registry,
      '--cafile',
      certificate,
      ...quiet,
    ];
    const { out } = await succeeds('npm', [...words, '--proxy', at, '--https-proxy', at], { cwd: folder.path });
    assert.equal(out, '1.2.3\n');
    assert.deepEqual(new Set(await methods(1)), new Set([scheme === 'http' ? 'GET 200' : 'CONNECT 200']));
  });
}

test('Chromium: a page with what belongs to it, plain and https', { skip: missing('chromium') }, async () => {
  for (const origin of [http, https]) {
    const words = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--ignore-certificate-errors',
      `--user-data-dir=${join(folder.path, 'chromium')}`,
      `--proxy-server=http://127.0.0.1:${proxy.port}`,
      '--proxy-bypass-list=<-loopback>',
      '--dump-dom',
      `${origin}/page`,
    ];
    const { out } = await run('chromium', words);
    assert.match(out, /<p id="hello">hello from the origin<\/p>/);
    assert.ok(web.seen.some(({ url }) => url === '/pixel'));
  }
});

test('undici: fetch and WebSocket through ProxyAgent', async () => {
  const agent = new ProxyAgent({ uri: `http://127.0.0.1:${proxy.port}`, requestTls: { ca: web.certificate.cert } });
  assert.equal(await (await undiciFetch(`${http}/a`, { dispatcher: agent })).text(), 'hello from /a\n');
  assert.equal(await (await undiciFetch(`${https}/b`, { dispatcher: agent })).text(), 'hello from /b\n');
  const socket = new WebSocket(`${http.replace('http', 'ws')}/ws`, { dispatcher: agent });
  const echoed = await new Promise((resolve, reject) => {
    socket.addEventListener('open', () => socket.send('hello'));
    socket.addEventListener('message', ({ data }) => resolve(data));
    socket.addEventListener('error', () => reject(new Error('the WebSocket failed')));
  });
  assert.equal(echoed, 'hello');
  socket.close();
  await agent.destroy();
  assert.ok(proxy.records.every(({ status, method }) => status === 200 && method === 'CONNECT'));
});
