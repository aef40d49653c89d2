import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { type ConnectionOptions, connect, TLSSocket } from 'node:tls';
import { ConfigError } from '../../src/config/problems.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import { resolveOptions } from '../../src/config/schema.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { Authority, type IssuedFiles } from '../support/authority.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';
import { Web } from '../support/web.ts';

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);
const skip = missing('openssl') || missing('curl');
const SERVER = { subject: '/CN=localhost', names: 'DNS:localhost,IP:127.0.0.1' };
const ALICE = '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=';

const listenWith = (tls: object): ConfigInput =>
  ({ listen: [{ url: 'https://127.0.0.1:0', tls }] }) as unknown as ConfigInput;

/** A connection to the proxy; resolves when its handshake has ended. */
async function secure(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ...options });
  await once(socket, 'secureConnect');
  return socket;
}

const pem = ({ cert, key }: IssuedFiles) => ({ cert: readFileSync(cert), key: readFileSync(key) });

/** The head of the answer to a request for the proxy's own page. */
async function ask(socket: TLSSocket, fields = ''): Promise<string> {
  socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`);
  const [chunk] = await once(socket, 'data');
  return String(chunk);
}

/** The first flight of a real client, taken from a server that only listens. */
async function clientHello(): Promise<Buffer> {
  await using recorder = await RawOrigin.listen();
  const recorded = connect({ port: recorder.port, host: '127.0.0.1', servername: 'localhost' });
  recorded.on('error', () => undefined);
  const peer = await recorder.connection();
  await until(() => peer.bytesReceived > 100, 'a ClientHello');
  recorded.destroy();
  return Buffer.from(peer.received);
}

/** A Node whose TLS sockets do not show what they were made around. */
function hiddenParents(): Disposable {
  Object.defineProperty(TLSSocket.prototype, '_parent', { get: () => null, set: () => undefined, configurable: true });
  return { [Symbol.dispose]: () => void Reflect.deleteProperty(TLSSocket.prototype, '_parent') };
}

/** What openssl prints of the alert that it gets. */
async function alertOf(
  port: number,
  ca: Authority,
  client: IssuedFiles | undefined,
  version: 'tls1_2' | 'tls1_3' = 'tls1_3',
): Promise<string | undefined> {
  const own = client === undefined ? [] : ['-cert', client.cert, '-key', client.key];
  const words = ['s_client', `-${version}`, '-connect', `127.0.0.1:${port}`, '-CAfile', ca.cert, ...own];
  const { err } = await run('openssl', words, { keepInput: true });
  return /alert [a-z ]+/.exec(err)?.[0];
}

test(
  'curl reaches an origin through an https: proxy, with a user and with a tunnel',
  { skip },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const ca = new Authority(folder.path, 'ca');
    await using web = await Web.open();
    await using proxy = await ProxyUnderTest.start({
      ...listenWith(ca.issue('server', SERVER)),
      clients: { users: { alice: ALICE } },
    });
    const by = ['-sS', '--proxy-cacert', ca.cert, '-x', proxy.proxy.url];
    const plain = await run('curl', [...by, '-U', 'alice:secret', `http://127.0.0.1:${web.port}/plain`]);
    assert.equal(plain.out, 'hello from /plain\n');
    const inside = await run('curl', [...by, '-U', 'alice:secret', '-k', `https://127.0.0.1:${web.tlsPort}/inside`]);
    assert.equal(inside.out, 'hello from /inside\n');
    const anonymous = await run('curl', [
      ...by,
      '-o',
      folder.write('out', ''),
      '-w',
      '%{http_code}',
      `http://127.0.0.1:${web.port}/`,
    ]);
    assert.equal(anonymous.out, '407');
    assert.deepEqual(
      proxy.records.map(({ principal, protocol, client }) => [principal, protocol, client.tls?.version]),
      [
        ['alice', 'http/1.1', 'TLSv1.3'],
        ['alice', 'http/1.1', 'TLSv1.3'],
        [undefined, 'http/1.1', 'TLSv1.3'],
      ],
    );
  }),
);

test('TLS 1.2 and 1.3 are spoken, and nothing older', { skip }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  await using proxy = await ProxyUnderTest.start(listenWith(ca.issue('server', SERVER)));
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await secure(proxy.port, { ca: readFileSync(ca.cert), minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    socket.destroy();
  }
  await assert.rejects(
    secure(proxy.port, {
      ca: readFileSync(ca.cert),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    }),
  );
});

test('a client that asks for a name gets the certificate that has it', { skip }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  const other = ca.issue('other', { subject: '/CN=other', names: 'DNS:other.example,DNS:*.wild.example' });
  await using proxy = await ProxyUnderTest.start(listenWith({ ...ca.issue('server', SERVER), certificates: [other] }));
  for (const [servername, subject] of [
    ['localhost', 'localhost'],
    ['other.example', 'other'],
    ['a.wild.example', 'other'],
    ['unknown.example', 'localhost'],
  ] as const) {
    const socket = await secure(proxy.port, { servername, rejectUnauthorized: false });
    assert.equal(socket.getPeerCertificate().subject.CN, subject, servername);
    socket.destroy();
  }
});

test(
  'a new certificate is in force as soon as its files are there, and open connections live on',
  { skip },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const ca = new Authority(folder.path, 'ca');
    const files = { cert: `${folder.path}/now.pem`, key: `${folder.path}/now.key` };
    const first = ca.issue('first', { ...SERVER, subject: '/CN=first' });
    copyFileSync(first.cert, files.cert);
    copyFileSync(first.key, files.key);
    await using proxy = await ProxyUnderTest.start(listenWith(files));
    const trust = { ca: readFileSync(ca.cert) };
    const before = await secure(proxy.port, trust);
    const second = ca.issue('second', { ...SERVER, subject: '/CN=second' });
    renameSync(second.cert, files.cert);
    renameSync(second.key, files.key);
    await proxy.when(({ events }) =>
      events.some((event) => event.type === 'notice' && event.message.endsWith('the certificates were read again')),
    );
    const after = await secure(proxy.port, trust);
    assert.equal(after.getPeerCertificate().subject.CN, 'second');
    assert.match(await ask(before), /^HTTP\/1\.1 200 /);
    before.destroy();
    after.destroy();
  }),
);

test('a certificate that cannot be used changes nothing, and the log says so', { skip }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  const server = ca.issue('server', SERVER);
  await using proxy = await ProxyUnderTest.start(listenWith(server));
  folder.write('broken.pem', 'no certificate');
  renameSync(`${folder.path}/broken.pem`, server.cert);
  const found = () => proxy.events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
  await proxy.when(() => found().length > 0);
  assert.match(found().join(), /has no certificate in PEM; the certificates of before stay in force$/);
  const socket = await secure(proxy.port, { ca: readFileSync(ca.cert) });
  assert.match(await ask(socket), /^HTTP\/1\.1 200 /);
  socket.destroy();
});

test('a reload puts a certificate of another file in force on the same port', { skip }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  const listen = (tls: IssuedFiles, port: number) => [{ url: `https://127.0.0.1:${port}`, tls }];
  await using proxy = await ProxyUnderTest.start({ listen: listen(ca.issue('one', SERVER), 0) });
  const next = ca.issue('two', { ...SERVER, subject: '/CN=two' });
  // The port was picked; the address that is asked for stays the same.
  await proxy.proxy.reload(resolveOptions({ listen: listen(next, 0), log: { format: 'off' } }));
  const socket = await secure(proxy.port, { ca: readFileSync(ca.cert) });
  assert.equal(socket.getPeerCertificate().subject.CN, 'two');
  socket.destroy();
});

test(
  'a certificate of a client is its user; one that is missing, expired, revoked or of others is refused by its alert',
  { skip },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const ca = new Authority(folder.path, 'ca');
    const strangers = new Authority(folder.path, 'strangers');
    const server = ca.issue('server', SERVER);
    const revoked = ca.issue('revoked', { subject: '/CN=revoked' });
    ca.revoke(revoked);
    await using proxy = await ProxyUnderTest.start(
      listenWith({ ...server, clientCa: ca.cert, clientCrl: ca.revocations() }),
    );
    const alice = await secure(proxy.port, {
      ca: readFileSync(ca.cert),
      ...pem(ca.issue('a', { subject: '/CN=alice' })),
    });
    alice.write('CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n');
    await once(alice, 'data');
    alice.destroy();
    assert.equal((await proxy.record()).principal, 'alice');
    const refused = [
      undefined,
      ca.issue('old', { subject: '/CN=old', fromDay: -3 }),
      revoked,
      strangers.issue('stranger', { subject: '/CN=alice' }),
      ca.issue('nameless', { subject: '/CN=a/CN=b' }),
    ];
    for (const version of ['tls1_2', 'tls1_3'] as const) {
      proxy.forget();
      const alerts = [];
      for (const client of refused) alerts.push(await alertOf(proxy.port, ca, client, version));
      assert.deepEqual(
        alerts,
        [
          version === 'tls1_2' ? 'handshake failure' : 'certificate required',
          'certificate expired',
          'certificate revoked',
          'unknown ca',
          'bad certificate',
        ].map((alert) => `alert ${alert}`),
        version,
      );
      await proxy.record(4);
      assert.deepEqual(
        proxy.records.map(({ failure, detail, status }) => [failure, detail, status]),
        [
          'the client has sent no certificate',
          'the certificate: CERT_HAS_EXPIRED',
          'the certificate: CERT_REVOKED',
          'the certificate: UNABLE_TO_VERIFY_LEAF_SIGNATURE',
          'the certificate has more than one common name',
        ].map((detail) => ['client_certificate_rejected', detail, 0]),
      );
    }
  }),
);

for (const [user, subject, names, expected] of [
  ['cn', '/CN=alice', undefined, 'alice'],
  ['email', '/CN=x', 'email:alice@example.com', 'alice@example.com'],
  ['dns', '/CN=x', 'DNS:host.example', 'host.example'],
] as const) {
  test(`user: ${user} takes the name of a user from that attribute alone`, { skip }, async () => {
    using folder = temporaryFolder();
    const ca = new Authority(folder.path, 'ca');
    await using proxy = await ProxyUnderTest.start(
      listenWith({ ...ca.issue('server', SERVER), clientCa: ca.cert, user }),
    );
    const issued = ca.issue('client', names === undefined ? { subject } : { subject, names });
    const socket = await secure(proxy.port, { ca: readFileSync(ca.cert), ...pem(issued) });
    socket.write('CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n');
    await once(socket, 'data');
    socket.destroy();
    assert.equal((await proxy.record()).principal, expected);
  });
}

test('where certificates are optional, a client without one logs in with a password', { skip }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  await using proxy = await ProxyUnderTest.start({
    ...listenWith({ ...ca.issue('server', SERVER), clientCa: ca.cert, clientCert: 'optional' }),
    clients: { users: { alice: ALICE } },
  });
  const login = `Proxy-Authorization: Basic ${Buffer.from('alice:secret').toString('base64')}\r\n`;
  const connectWith = async (options: ConnectionOptions, fields: string) => {
    const socket = await secure(proxy.port, { ca: readFileSync(ca.cert), ...options });
    socket.write(`CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n${fields}\r\n`);
    const [answer] = await once(socket, 'data');
    socket.destroy();
    return String(answer).slice(9, 12);
  };
  const bob = pem(ca.issue('bob', { subject: '/CN=bob' }));
  const statuses = [await connectWith({}, ''), await connectWith({}, login), await connectWith(bob, login)];
  assert.deepEqual(statuses, ['407', '502', '502']);
  await proxy.record(2);
  assert.deepEqual(
    proxy.records.map(({ principal }) => principal),
    [undefined, 'alice', 'bob'],
  );
});

test('a session that began before a certificate was revoked is not resumed', { skip }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  const server = ca.issue('server', SERVER);
  const client = ca.issue('client', { subject: '/CN=alice' });
  const clientCrl = ca.revocations();
  const config = listenWith({ ...server, clientCa: ca.cert, clientCrl });
  await using proxy = await ProxyUnderTest.start({ ...config, reload: 'signal' });
  const options = { ca: readFileSync(ca.cert), ...pem(client) };
  const first = await secure(proxy.port, options);
  const [[session]] = await Promise.all([once(first, 'session'), ask(first)]);
  first.destroy();
  const again = await secure(proxy.port, { ...options, session });
  assert.equal(again.isSessionReused(), true);
  assert.match(await ask(again), /^HTTP\/1\.1 200 /);
  again.destroy();
  ca.revoke(client);
  ca.revocations(clientCrl);
  await proxy.proxy.reload(resolveOptions({ ...config, reload: 'signal', log: { format: 'off' } }));
  const late = await secure(proxy.port, { ...options, session });
  const [error] = await once(late, 'error');
  assert.match(error.code, /_ALERT_CERTIFICATE_REVOKED$/);
  assert.equal(late.isSessionReused(), false);
});

test('a handshake that does not end is ended, and bytes that are no TLS are answered by an alert', {
  skip,
}, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  await using proxy = await ProxyUnderTest.start({
    ...listenWith(ca.issue('server', SERVER)),
    timeouts: { requestHead: '300ms' },
  });
  const silent = connectTcp(proxy.port, '127.0.0.1').resume();
  await once(silent, 'end');
  const garbage = connectTcp(proxy.port, '127.0.0.1');
  garbage.write(Buffer.from('160301000501000001ff', 'hex'));
  const [answer] = await once(garbage, 'data');
  // A fatal alert of TLS.
  assert.deepEqual([answer[0], answer[5]], [21, 2]);
  garbage.destroy();
  const plain = connectTcp(proxy.port, '127.0.0.1').resume();
  plain.write('GET / HTTP/1.1\r\n\r\n');
  await once(plain, 'end');
  await proxy.record(2);
  assert.deepEqual(
    proxy.records.map(({ failure, protocol, detail }) => [failure, protocol, detail]),
    [
      ['client_too_slow', 'tls', 'the TLS handshake did not end'],
      ['client_tls_failed', 'tls', 'ERR_SSL_LENGTH_TOO_SHORT'],
      [
        'client_tls_failed',
        'tls',
        'a client without TLS at an https: listener; write https:// for this proxy in its settings',
      ],
    ],
  );
});

test('a client that ends in the middle of its handshake gives its place back at once', { skip }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  // Long, so that no test waits for it by mistake.
  await using proxy = await ProxyUnderTest.start({
    ...listenWith(ca.issue('server', SERVER)),
    timeouts: { requestHead: '1h' },
  });
  const hello = await clientHello();
  for (const sent of [Buffer.alloc(0), hello.subarray(0, 20), hello]) {
    const socket = connectTcp({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }).resume();
    socket.write(sent);
    // The proxy has read it when it has answered, and else may get it in one read with the FIN.
    if (sent === hello) await once(socket, 'data');
    socket.end();
    await once(socket, 'close');
  }
  // One that ends behind its handshake is served, and may end alone.
  const trust = { ca: readFileSync(ca.cert), allowHalfOpen: true };
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await secure(proxy.port, { ...trust, minVersion: version, maxVersion: version });
    socket.end('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [answer] = await once(socket, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 200 /);
    socket.destroy();
  }
  assert.deepEqual(
    proxy.records.map(({ failure }) => failure),
    [undefined, undefined],
  );
});

test('a Node that hides the transport of a TLS socket serves TLS all the same, and the log says so in one line', {
  skip,
}, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  using _hidden = hiddenParents();
  await using proxy = await ProxyUnderTest.start({
    ...listenWith({ ...ca.issue('server', SERVER), clientCa: ca.cert, clientCert: 'optional' }),
  });
  const notices = () => proxy.events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
  assert.deepEqual(
    notices().map((message) => message.replace(/^https:[^ ]+ /, '')),
    [
      'this Node hides the transport of a TLS socket: each handshake takes a TLS server of its own, and no session is resumed; run Viaduct on Node 22, 24 or 26',
    ],
  );
  const trust = { ca: readFileSync(ca.cert) };
  const sockets = await Promise.all([secure(proxy.port, trust), secure(proxy.port, trust)]);
  for (const socket of sockets) {
    assert.match(await ask(socket), /^HTTP\/1\.1 200 /);
    socket.destroy();
  }
  const old = ca.issue('old', { subject: '/CN=old', fromDay: -3 });
  assert.equal(await alertOf(proxy.port, ca, old), 'alert certificate expired');
});

test('a ClientHello that is cut anywhere is served like a whole one', { skip }, async () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  await using proxy = await ProxyUnderTest.start(listenWith(ca.issue('server', SERVER)));
  const hello = await clientHello();
  for (let at = 0; at < hello.length; at += 7) {
    const socket = connectTcp(proxy.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.setNoDelay(true);
    socket.write(hello.subarray(0, at));
    setImmediate(() => socket.write(hello.subarray(at)));
    const [answer] = await once(socket, 'data');
    assert.equal(answer[0], 22, `cut at ${at}`);
    socket.destroy();
  }
});

test('what is wrong with the certificates of a listener is said before it starts', { skip }, () => {
  using folder = temporaryFolder();
  const ca = new Authority(folder.path, 'ca');
  const server = ca.issue('server', SERVER);
  const other = ca.issue('other', SERVER);
  const empty = folder.write('empty.pem', '');
  const problem = (listen: unknown): string => {
    try {
      resolveOptions({ listen } as ConfigInput);
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      return error.message.replaceAll(folder.path, '').replace(/ca-\w+-\d/g, 'FILE');
    }
    return 'none';
  };
  const url = 'https://127.0.0.1:0';
  assert.deepEqual(
    [
      problem(url),
      problem([{ url: 'http://127.0.0.1:0', tls: server }]),
      problem([{ url, tls: { cert: '/nowhere.pem', key: server.key } }]),
      problem([{ url, tls: { cert: empty, key: server.key } }]),
      problem([{ url, tls: { cert: server.cert, key: other.key } }]),
      problem([{ url, tls: { ...server, clientCa: empty } }]),
      problem([{ url, tls: { ...server, clientCa: ca.cert, clientCrl: empty } }]),
      problem([{ url: 'https://0.0.0.0:0', tls: { ...server, clientCa: ca.cert } }]),
    ],
    [
      'listen: a listener for https: needs a certificate: write { url: …, tls: { cert: FILE, key: FILE } }',
      'listen: tls is for https: listeners, and http: has none; write https://',
      'listen: tls.cert: /nowhere.pem cannot be read: there is no such file',
      'listen: tls.cert: /empty.pem has no certificate in PEM',
      'listen: tls.key: /FILE.key is not the key of the first certificate in /FILE.pem',
      'listen: tls.clientCa: /empty.pem has no certificate in PEM',
      'listen: tls.clientCrl: /empty.pem has no revocation list in PEM',
      'none',
    ],
  );
});

for (const relay of RELAYS) {
  test(`any:// serves TLS, HTTP/1 and HTTP/2 inside it, and plain HTTP on one port (${relay})`, { skip }, async () => {
    using folder = temporaryFolder();
    const ca = new Authority(folder.path, 'ca');
    await using web = await Web.open();
    await using proxy = await ProxyUnderTest.start({
      listen: [{ url: 'any://127.0.0.1:0', tls: ca.issue('server', SERVER) }],
      relay,
    });
    const url = `http://127.0.0.1:${web.port}/any`;
    for (const scheme of ['http', 'https', 'socks5']) {
      const words = ['-sS', '--proxy-cacert', ca.cert, '-x', `${scheme}://127.0.0.1:${proxy.port}`, url];
      assert.equal((await run('curl', words)).out, 'hello from /any\n', scheme);
    }
    const socket = await secure(proxy.port, { ca: readFileSync(ca.cert), ALPNProtocols: ['h2'] });
    assert.equal(socket.alpnProtocol, 'h2');
    socket.destroy();
  });

  test(`a PROXY header in front of TLS names the client (${relay})`, { skip }, async () => {
    using folder = temporaryFolder();
    const ca = new Authority(folder.path, 'ca');
    await using proxy = await ProxyUnderTest.start({
      listen: [{ url: 'https://127.0.0.1:0', tls: ca.issue('server', SERVER), proxyProtocol: '127.0.0.1' }],
      relay,
    });
    const below = connectTcp(proxy.port, '127.0.0.1');
    below.write('PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n');
    const socket = connect({ socket: below, servername: 'localhost', ca: readFileSync(ca.cert) });
    await once(socket, 'secureConnect');
    assert.match(await ask(socket), /^HTTP\/1\.1 200 /);
    socket.destroy();
    const { client } = await proxy.record();
    assert.deepEqual([client.address, client.port, client.tls?.version], ['192.0.2.7', 1234, 'TLSv1.3']);
  });
}
