/** Variables and flags of Node that weaken TLS, as scrapers and old machines have them: none of them counts here. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer, type TlsOptions } from 'node:tls';
import { selfSigned, type TestCertificate } from '../support/certificate.ts';
import { builtCommand, type Running, viaduct, viaductEnds } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { rawClient } from '../support/raw-client.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const UNVERIFIED = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
const PAC = 'function FindProxyForURL() { return "PROXY 127.0.0.1:1" }';

/** A TLS server that answers everything with 200, and knows what it was sent. */
class TlsServer implements AsyncDisposable {
  readonly port: number;
  text = '';
  connections = 0;
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Socket>();

  private constructor(server: ReturnType<typeof createServer>, body: string) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
    });
    server.on('secureConnection', (socket) => {
      socket
        .on('error', () => undefined)
        .on('data', (chunk: Buffer) => {
          this.text += chunk.toString('latin1');
          socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
        });
    });
  }

  static async open(
    { key, cert }: TestCertificate,
    { body = PAC, ...options }: TlsOptions & { readonly body?: string } = {},
  ): Promise<TlsServer> {
    const server = createServer({ key, cert, ...options }).on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TlsServer(server, body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server.close(), 'close');
  }
}

/** The answer that a client of this proxy gets to a request for `http://a.test/`. */
async function answerOf(running: Running): Promise<string> {
  const said = await running.says(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
  const port = Number(/listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1]);
  using client = await rawClient(port);
  client.send('GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
  await client.ended();
  return client.text;
}

const LISTEN = ['run', '-l', '127.0.0.1:0', '--log', 'off'];

test('NODE_TLS_REJECT_UNAUTHORIZED=0: an https: upstream with a self-signed certificate is sent nothing', async () => {
  await using proxy = await TlsServer.open(selfSigned());
  const environment = { ...UNVERIFIED, BASIC_CREDENTIALS: 'me:secret' };
  for (const workers of process.platform === 'linux' ? ['1', '2'] : ['1']) {
    using running = viaduct(
      [...LISTEN, '-x', `https://me:secret@localhost:${proxy.port}`, '--workers', workers],
      environment,
    );
    const answer = await answerOf(running);
    assert.match(answer, /^HTTP\/1\.1 502 /);
    assert.match(answer, /\r\nProxy-Status: viaduct; error=tls_certificate_error\r\n/);
    running.child.kill('SIGTERM');
    const { err } = await running.ended;
    assert.equal(err.match(/NODE_TLS_REJECT_UNAUTHORIZED/g)?.length, 1, err);
    assert.match(
      err,
      /^viaduct: NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored: .*upstreams: \[\{ host: HOST, ca: FILE \}\]$/m,
    );
  }
  assert.ok(proxy.connections > 0);
  assert.equal(proxy.text, '');
});

test('NODE_TLS_REJECT_UNAUTHORIZED=0: a PAC whose server proves nothing is not read; with its ca it is', async () => {
  using folder = temporaryFolder();
  const certificate = selfSigned();
  await using web = await TlsServer.open(certificate);
  const url = `https://localhost:${web.port}/proxy.pac`;
  const environment = { ...UNVERIFIED, XDG_STATE_HOME: join(folder.path, 'state') };
  using running = viaduct([...LISTEN, '--pac', url], environment);
  assert.match(await answerOf(running), /^HTTP\/1\.1 502 /);
  running.child.kill('SIGTERM');
  const { err } = await running.ended;
  assert.match(
    err,
    /PAC https:\/\/localhost:\d+\/proxy\.pac: the certificate of https:\/\/localhost:\d+ is signed by itself alone/,
  );
  assert.equal(web.text, '');
  const evaluated = await viaductEnds(['pac', url, 'http://a.test/'], environment);
  assert.equal(evaluated.code, 1);
  assert.match(evaluated.err, /the certificate of https:\/\/localhost:\d+ is signed by itself alone/);
  assert.equal(web.text, '');

  const [ca, file] = [join(folder.path, 'ca.pem'), join(folder.path, 'viaduct.json')];
  writeFileSync(ca, certificate.cert);
  writeFileSync(file, JSON.stringify({ routes: { pac: url }, upstreams: [{ host: 'localhost', ca }] }));
  const why = await viaductEnds(['why', '-c', file, 'http://a.test/'], environment);
  assert.match(why.out, /PROXY 127\.0\.0\.1:1/);
  assert.match(web.text, /^GET \/proxy\.pac HTTP\/1\.1\r\n/);
});

for (const variable of ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE']) {
  test(`${variable} adds an authority, for an https: PAC as for an https: upstream`, async () => {
    using folder = temporaryFolder();
    const ca = join(folder.path, 'ca.pem');
    const certificate = selfSigned();
    writeFileSync(ca, certificate.cert);
    const environment = { [variable]: ca, XDG_STATE_HOME: join(folder.path, 'state') };
    await using web = await TlsServer.open(certificate);
    const why = await viaductEnds(['why', '--pac', `https://localhost:${web.port}/`, 'http://a.test/'], environment);
    assert.match(why.out, /PROXY 127\.0\.0\.1:1/);
    await using proxy = await TlsServer.open(certificate);
    using running = viaduct([...LISTEN, '-x', `https://localhost:${proxy.port}`], environment);
    assert.match(await answerOf(running), /^HTTP\/1\.1 200 /);
  });
}

test('a proxy that is started by a program reports once that NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored', async () => {
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  try {
    for (const [value, count] of [
      ['0', 1],
      ['1', 0],
    ] as const) {
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = value;
      await using proxy = await ProxyUnderTest.start();
      const notices = proxy.events.filter(({ type }) => type === 'notice');
      assert.equal(notices.length, count, JSON.stringify(notices));
    }
  } finally {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  }
});

/** Settings of OpenSSL that allow what is broken. */
const WEAK_OPENSSL = `nodejs_conf = start
[start]
ssl_conf = ssl
[ssl]
system_default = weak
[weak]
CipherString = ALL:eNULL:@SECLEVEL=0
MinProtocol = TLSv1
`;
const WEAK_CIPHERS = 'ALL:eNULL:@SECLEVEL=0';
for (const [what, server, kind] of [
  ['speaks TLS 1.0', { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: WEAK_CIPHERS }, 'P-256'],
  ['speaks TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: WEAK_CIPHERS }, 'P-256'],
  ['encrypts nothing', { maxVersion: 'TLSv1.2', ciphers: 'eNULL:@SECLEVEL=0' }, 'P-256'],
  ['has a key of 1,024 bits', { ciphers: WEAK_CIPHERS }, 'RSA-1024'],
] as const) {
  test(`an https: upstream that ${what} is sent nothing, though Node and OpenSSL allow it`, async () => {
    using folder = temporaryFolder();
    const [ca, openssl] = [join(folder.path, 'ca.pem'), join(folder.path, 'openssl.cnf')];
    const certificate = selfSigned(undefined, kind);
    writeFileSync(ca, certificate.cert);
    writeFileSync(openssl, WEAK_OPENSSL);
    await using proxy = await TlsServer.open(certificate, server);
    const file = join(folder.path, 'viaduct.json');
    const url = `https://me:secret@localhost:${proxy.port}`;
    writeFileSync(file, JSON.stringify({ routes: { proxy: url }, upstreams: [{ host: 'localhost', ca }] }));
    using running = viaduct([...LISTEN, '-c', file], {
      ...UNVERIFIED,
      NODE_OPTIONS: `--tls-min-v1.0 --tls-cipher-list=${WEAK_CIPHERS} --openssl-legacy-provider --insecure-http-parser`,
      OPENSSL_CONF: openssl,
    });
    const answer = await answerOf(running);
    assert.match(answer, /^HTTP\/1\.1 502 /);
    assert.match(answer, /\r\nProxy-Status: viaduct; error=tls_(?:protocol|certificate)_error\r\n/);
    assert.ok(proxy.connections > 0);
    assert.equal(proxy.text, '');
  });
}

test('a PAC is fetched directly, past the proxy that NODE_USE_ENV_PROXY names', async () => {
  await using web = await RawOrigin.listen(answering(() => ok(PAC)));
  await using other = await RawOrigin.listen(answering(() => ok('')));
  const proxy = `http://${other.authority}`;
  const environment = { http_proxy: proxy, HTTP_PROXY: proxy, https_proxy: proxy, NODE_USE_ENV_PROXY: '1' };
  const { out, code } = await viaductEnds(['pac', `http://${web.authority}/proxy.pac`, 'http://a.test/'], environment);
  assert.deepEqual([code, other.connections.length], [0, 0]);
  assert.match(out, /=> "PROXY 127\.0\.0\.1:1"/);
});

/** What a program that uses the library gets, and what it prints. */
const LIBRARY = new URL('lib/index.js', new URL(`file://${builtCommand()}`)).href;
const program = (body: string) =>
  run(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { connectVia, fetchVia, agentsVia } from ${JSON.stringify(LIBRARY)};\n${body}`,
    ],
    {
      environment: UNVERIFIED,
    },
  );

test('connectVia verifies an https: proxy unless the program says otherwise', async () => {
  await using proxy = await TlsServer.open(selfSigned(), { body: '' });
  const url = `https://me:secret@localhost:${proxy.port}`;
  const { out } = await program(`await connectVia('${url}', 'a.test:443').catch((error) => console.log(error.code));`);
  assert.equal(out, 'certificate_rejected\n');
  assert.equal(proxy.text, '');
  const opened = await program(
    `const socket = await connectVia('${url}', 'a.test:443', { proxyTls: { rejectUnauthorized: false } });
     socket.destroy();
     console.log('opened');`,
  );
  assert.equal(opened.out, 'opened\n', opened.err);
  assert.match(proxy.text, /^CONNECT a\.test:443 HTTP\/1\.1\r\n/);
});

test('fetchVia and agentsVia verify the site unless the program says otherwise', async () => {
  await using site = await TlsServer.open(selfSigned(), { body: 'hello' });
  const url = `https://localhost:${site.port}/`;
  const fetched = await program(
    `const go = fetchVia('direct');
     await go('${url}').catch((error) => console.log(error.cause.code));`,
  );
  assert.equal(fetched.out, 'DEPTH_ZERO_SELF_SIGNED_CERT\n', fetched.err);
  const get = (options: string) => `import { get } from 'node:https';
    const { httpAgent, httpsAgent } = agentsVia('direct', ${options});
    get('${url}', { agent: httpsAgent }, (answer) => { console.log(answer.statusCode); answer.resume(); httpsAgent.destroy(); })
      .on('error', (error) => console.log(error.code));`;
  assert.equal((await program(get('{}'))).out, 'DEPTH_ZERO_SELF_SIGNED_CERT\n');
  assert.equal(site.text, '');
  assert.equal((await program(get('{ rejectUnauthorized: false }'))).out, '200\n');
});
