/**
 * SOCKS with the programs that people use. `origin.test` is known to the proxy alone, so a client that gets an answer has
 * let the proxy resolve it.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import { type AuthenticateHook, hookAuthenticator } from '../../src/identity/hook.ts';
import { relayedTunnelCount } from '../../src/native/relay-thread.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { selfSigned } from '../support/certificate.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { type RunResult, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { Web } from '../support/web.ts';

const SOCKS = 'socks5://127.0.0.1:0';
const ALICE: ConfigInput['clients'] = { users: { alice: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } };
const lookup = (name: string) =>
  name === 'origin.test'
    ? Promise.resolve(['127.0.0.1'])
    : Promise.reject(Object.assign(new Error(name), { code: 'ENOTFOUND' }));

const folder = temporaryFolder();
const certificate = join(folder.path, 'origin.pem');
let web: Web;
let echoing: RawOrigin;
let proxy: ProxyUnderTest;
let guarded: ProxyUnderTest;

before(async () => {
  web = await Web.open();
  writeFileSync(certificate, web.certificate.cert);
  echoing = await RawOrigin.listen(echo);
  const access: ConfigInput['access'] = [{ name: 'ads', deny: { hosts: ['ads.test'] } }];
  proxy = await ProxyUnderTest.start({ listen: SOCKS, access }, { lookup });
  guarded = await ProxyUnderTest.start({ listen: SOCKS, clients: ALICE }, { lookup });
});
beforeEach(async () => {
  for (const one of [proxy, guarded]) await one.forget();
  web.seen.length = 0;
});
after(async () => {
  for (const one of [proxy, guarded, echoing, web]) await one[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const curl = (...words: string[]): Promise<RunResult> =>
  run('curl', ['-sS', '--max-time', '8', '--cacert', certificate, ...words]);
/** What a SOCKS5 client sends that needs no login: greeting and request. */
const asks = (host: string, port: number): Buffer =>
  Buffer.concat([
    Buffer.from([5, 1, 0, 5, 1, 0, 3, host.length]),
    Buffer.from(host),
    Buffer.from([port >> 8, port & 255]),
  ]);
const hex = ({ received }: RawPeer): string => received.toString('hex');

describe('curl', { skip: missing('curl') }, () => {
  const ways: readonly (readonly [option: string, host: string, protocol: string])[] = [
    ['--socks4', '127.0.0.1', 'socks4'],
    ['--socks4a', 'origin.test', 'socks4'],
    ['--socks5', '127.0.0.1', 'socks5'],
    ['--socks5-hostname', 'origin.test', 'socks5'],
  ];
  for (const [option, host, protocol] of ways) {
    test(`${option}: fetches a page in the clear and one over TLS`, async () => {
      const at = `127.0.0.1:${proxy.port}`;
      const both = [`http://${host}:${web.port}/a`, `https://${host}:${web.tlsPort}/b`];
      const { out } = await curl(option, at, ...both);
      assert.equal(out, 'hello from /a\nhello from /b\n');
      await proxy.when(({ records }) => records.length === 2);
      assert.deepEqual(
        proxy.records.map((record) => [
          record.kind,
          record.method,
          record.protocol,
          record.status,
          record.target?.host,
        ]),
        both.map(() => ['tunnel', 'CONNECT', protocol, 200, host]),
      );
    });
  }
  test('a user name and a password are asked for, and nothing else will do', async () => {
    const at = `127.0.0.1:${guarded.port}`;
    const url = `http://origin.test:${web.port}/a`;
    const right = await curl('--socks5-hostname', at, '--proxy-user', 'alice:secret', url);
    assert.equal(right.out, 'hello from /a\n');
    const wrong = await curl('--socks5-hostname', at, '--proxy-user', 'alice:wrong', url);
    assert.match(wrong.err, /User was rejected by the SOCKS5 server/);
    const without = await curl('--socks5-hostname', at, url);
    assert.match(without.err, /No authentication method was acceptable/);
    const four = await curl('--socks4a', at, '--proxy-user', 'alice', url);
    assert.match(four.err, /Can't complete SOCKS4 connection .*\(91\)/);
    await guarded.when(({ records }) => records.length === 4);
    assert.deepEqual(
      guarded.records.map(({ protocol, principal, status, failure, detail }) => [
        protocol,
        principal,
        status,
        failure,
        detail,
      ]),
      [
        ['socks5', 'alice', 200, undefined, undefined],
        ['socks5', undefined, 407, 'client_auth_required', 'wrong user name or password'],
        ['socks5', undefined, 407, 'client_auth_required', 'the client offers no user name and password'],
        ['socks4', undefined, 407, 'client_auth_required', 'no credentials'],
      ],
    );
  });
  test('a refusal says what went wrong, in the reply code that curl prints', async () => {
    const at = `127.0.0.1:${proxy.port}`;
    const closed = await RawOrigin.listen();
    await closed[Symbol.asyncDispose]();
    const refusals: readonly (readonly [url: string, code: number, failure: string])[] = [
      ['http://ads.test/', 2, 'denied'],
      ['http://no-such.test/', 4, 'dns_failed'],
      [`http://127.0.0.1:${closed.port}/`, 5, 'connection_refused'],
    ];
    for (const [at_, [url, code, failure]] of refusals.entries()) {
      const { err } = await curl('--socks5-hostname', at, url);
      assert.match(err, new RegExp(`Can't complete SOCKS5 connection to .*\\(${code}\\)`));
      assert.equal((await proxy.record(at_)).failure, failure);
    }
  });
});

test('ssh over nc -X 5: the server speaks first', { skip: missing('openssh-client', 'netcat-openbsd') }, async () => {
  await using server = await RawOrigin.listen((peer) => peer.send('SSH-2.0-origin\r\n'));
  const hop = `ProxyCommand=nc -X 5 -x 127.0.0.1:${proxy.port} %h %p`;
  const running = run('ssh', [
    '-F',
    '/dev/null',
    '-o',
    hop,
    '-o',
    'ConnectTimeout=5',
    '-p',
    `${server.port}`,
    'me@origin.test',
  ]);
  const peer = await server.connection();
  assert.match(await peer.until('\r\n'), /^SSH-2\.0-OpenSSH/);
  // No length of a packet: ssh gives up.
  peer.send('\xff'.repeat(64)).end();
  assert.match((await running).err, /packet/);
});

test('nc -X 4 and -X 5: what is sent comes back, also behind the end of what is sent', {
  skip: missing('netcat-openbsd'),
}, async () => {
  for (const version of ['4', '5']) {
    const words = ['-N', '-X', version, '-x', `127.0.0.1:${proxy.port}`, '127.0.0.1', `${echoing.port}`];
    const { out } = await run('nc', words, { input: 'there and back\n' });
    assert.equal(out, 'there and back\n', `version ${version}`);
  }
});

test('Chromium with socks5:// loads a page and what belongs to it', { skip: missing('chromium') }, async () => {
  const words = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];
  const { out } = await run('chromium', [
    ...words,
    ...quiet,
    '--ignore-certificate-errors',
    `--user-data-dir=${join(folder.path, 'chromium')}`,
    `--proxy-server=socks5://127.0.0.1:${proxy.port}`,
    '--proxy-bypass-list=<-loopback>',
    '--dump-dom',
    `https://origin.test:${web.tlsPort}/page`,
  ]);
  assert.match(out, /<p id="hello">hello from the origin<\/p>/);
  assert.ok(web.seen.some(({ url }) => url === '/pixel'));
});

const KINDS: readonly (readonly [what: string, bytes: (port: number) => Buffer, granted: string])[] = [
  ['SOCKS5 by name', (port) => asks('origin.test', port), '050005000001000000000000'],
  [
    'SOCKS5 by IPv4',
    (port) => Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]),
    '050005000001000000000000',
  ],
  ['SOCKS4', (port) => Buffer.from([4, 1, port >> 8, port & 255, 127, 0, 0, 1, 0x6d, 0x65, 0]), '005a000000000000'],
  [
    'SOCKS4A',
    (port) => Buffer.from([4, 1, port >> 8, port & 255, 0, 0, 0, 9, 0, ...Buffer.from('origin.test\0')]),
    '005a000000000000',
  ],
];
for (const [what, bytes, granted] of KINDS) {
  test(`${what} is served wherever its bytes are cut, and what comes with the request is the tunnel's`, async () => {
    const request = Buffer.concat([bytes(echoing.port), Buffer.from('ahead')]);
    for (let cut = 1; cut <= request.length; cut++) {
      const client = await proxy.client();
      await client.sendCut(request, cut);
      await client.until('ahead');
      assert.equal(hex(client), `${granted}${Buffer.from('ahead').toString('hex')}`, `cut at ${cut}`);
      client.end();
      await client.ended();
    }
  });
}

test('a login is served wherever its bytes are cut', async () => {
  const login = Buffer.from('\x05\x02\x00\x02\x01\x05alice\x06secret', 'latin1');
  const request = Buffer.concat([login, asks('origin.test', echoing.port).subarray(3), Buffer.from('ahead')]);
  for (let cut = 1; cut <= request.length; cut++) {
    const client = await guarded.client();
    await client.sendCut(request, cut);
    await client.until('ahead');
    assert.equal(hex(client).slice(0, 8), '05020100', `cut at ${cut}`);
    client.end();
    await client.ended();
  }
});

const REFUSED: readonly (readonly [what: string, bytes: string, reply: string, failure: string])[] = [
  ['BIND', '050100 05020001 7f000001 0050', '0500 05070001000000000000', 'not_implemented'],
  ['UDP ASSOCIATE', '050100 05030001 00000000 0000', '0500 05070001000000000000', 'not_implemented'],
  ['BIND of SOCKS4', '04020050 7f000001 00', '005b000000000000', 'not_implemented'],
  [
    'an address type that does not exist',
    '050100 05010002 7f000001 0050',
    '0500 05080001000000000000',
    'address_type_unsupported',
  ],
  ['port 0', '050100 05010001 7f000001 0000', '0500 05010001000000000000', 'bad_request'],
  [
    'a name that looks like an address',
    '050100 05010003 05 3132372e31 0050',
    '0500 05010001000000000000',
    'bad_request',
  ],
  ['an empty name', '050100 05010003 00 0050', '0500 05010001000000000000', 'bad_request'],
  ['no method that is known', '050103', '05ff', 'bad_request'],
  ['no method at all', '0500', '05ff', 'bad_request'],
  ['a login of another version', '050102 05', '0502 0101', 'bad_request'],
  ['a request of another version', '050100 04', '0500 05010001000000000000', 'bad_request'],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n').toString('hex'), '', 'bad_request'],
  ['a user name of SOCKS4 without an end', `04010050 7f000001${'61'.repeat(300)}`, '005b000000000000', 'bad_request'],
];
for (const [what, bytes, reply, failure] of REFUSED) {
  test(`${what} is refused, and the connection ends`, async () => {
    const client = await proxy.client();
    client.send(Buffer.from(bytes.replaceAll(' ', ''), 'hex'));
    await client.ended();
    assert.equal(hex(client), reply.replaceAll(' ', ''));
    assert.equal((await proxy.record()).failure, failure);
    client.socket.destroy();
  });
}

test('a client that stops in the middle of its request is refused when its time is up', async () => {
  await using hasty = await ProxyUnderTest.start({ listen: SOCKS, timeouts: { requestHead: '100ms' } });
  const client = await hasty.client();
  client.send(Buffer.from([5, 1, 0, 5, 1]));
  await client.ended();
  assert.equal(hex(client), '050005010001000000000000');
  assert.equal((await hasty.record()).failure, 'client_too_slow');
  client.socket.destroy();
});

test(
  'garbage of any kind leaves nothing behind',
  leavesNothing(async () => {
    await using one = await ProxyUnderTest.start({ listen: SOCKS });
    let seed = 7;
    const next = () => {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
      return seed;
    };
    for (let round = 0; round < 200; round++) {
      const client = await one.client();
      const bytes = Buffer.from(Array.from({ length: 1 + (next() % 40) }, () => next() & 255));
      bytes[0] = round % 2 === 0 ? 5 : 4;
      client.send(bytes).end();
      await client.ended();
      client.socket.destroy();
    }
  }),
);

test('authenticate is asked once, before the target is named, so that a password for one login opens one tunnel', {
  skip: missing('curl'),
}, async () => {
  const codes = new Set(['123456']);
  const asked: unknown[] = [];
  const authenticate: AuthenticateHook = ({ password, method, target, url }) => {
    asked.push([method, target.host, target.port, url]);
    return codes.delete(password) ? { id: 'ann' } : null;
  };
  await using one = await ProxyUnderTest.start(
    { listen: SOCKS },
    { lookup, overrides: { authenticators: [hookAuthenticator(authenticate)] } },
  );
  const at = `127.0.0.1:${one.port}`;
  const login = ['--socks5-hostname', at, '--proxy-user', 'ann:123456', `http://origin.test:${web.port}/a`];
  assert.equal((await curl(...login)).out, 'hello from /a\n');
  assert.deepEqual(asked, [['CONNECT', '', 0, undefined]]);
  assert.match((await curl(...login)).err, /User was rejected by the SOCKS5 server/);
  await one.when(({ records }) => records.length === 2);
  assert.deepEqual(
    one.records.map(({ principal, failure }) => [principal, failure]),
    [
      ['ann', undefined],
      [undefined, 'client_auth_required'],
    ],
  );
});

test('a program may let SOCKS clients without a login pass to some targets', async () => {
  const targets: string[] = [];
  const authenticate: AuthenticateHook = (ctx) => {
    targets.push(ctx.target.host);
    return ctx.target.port === echoing.port ? ctx.anonymous() : null;
  };
  await using one = await ProxyUnderTest.start(
    { listen: SOCKS },
    { lookup, overrides: { authenticators: [hookAuthenticator(authenticate)] } },
  );
  using passes = await one.client();
  passes.send(asks('127.0.0.1', echoing.port));
  await passes.when((peer) => hex(peer) === '050005000001000000000000', 'the tunnel');
  using refused = await one.client();
  refused.send(asks('127.0.0.1', 1));
  await refused.ended();
  assert.match(hex(refused), /^05000502/);
  assert.deepEqual(targets, ['127.0.0.1', '127.0.0.1']);
});

test('a port rule for CONNECT holds for SOCKS too', async () => {
  const access: ConfigInput['access'] = [{ name: 'web', allow: { ports: [443] } }, { default: 'deny' }];
  await using one = await ProxyUnderTest.start({ listen: SOCKS, access });
  const client = await one.client();
  client.send(asks('127.0.0.1', echoing.port));
  await client.ended();
  assert.equal(hex(client), '050005020001000000000000');
  client.socket.destroy();
});

test('a client of another address than clients.allow is refused in its own words', async () => {
  await using one = await ProxyUnderTest.start({ listen: SOCKS, clients: { allow: ['192.0.2.0/24'] } });
  const client = await one.client();
  await client.ended();
  assert.equal(hex(client), '05ff');
  const { protocol, failure, client: who } = await one.record();
  assert.deepEqual([protocol, failure, who.listener], ['socks5', 'denied', `socks5://127.0.0.1:${one.port}`]);
  client.socket.destroy();
});

test('a tunnel of SOCKS uses the native relay, and bytes pass whole', {
  skip: activeRelay('auto') !== 'native' && 'the addon is not built',
}, async () => {
  const client = await proxy.client();
  client.send(asks('origin.test', echoing.port));
  await client.when(({ bytesReceived }) => bytesReceived === 12);
  client.forget(12);
  const bulk = Buffer.alloc(4 * 1024 * 1024, 'viaduct ');
  client.send(bulk);
  await client.when(({ bytesReceived }) => bytesReceived === bulk.length);
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  assert.equal(digest(client.received), digest(bulk));
  assert.equal(relayedTunnelCount(), 1);
  const [live] = proxy.proxy.sessions.snapshot();
  assert.deepEqual([live?.record.protocol, live?.record.bytesUp], ['socks5', bulk.length]);
  client.end();
  await client.ended();
});

test('any:// serves HTTP and SOCKS on one port, by the first byte alone', { skip: missing('curl') }, async () => {
  await using one = await ProxyUnderTest.start({ listen: 'any://127.0.0.1:0' }, { lookup });
  const at = `127.0.0.1:${one.port}`;
  const url = `http://origin.test:${web.port}/a`;
  for (const words of [
    ['-x', `http://${at}`],
    ['--socks5-hostname', at],
    ['--socks4a', at],
    ['-p', '-x', `http://${at}`],
  ])
    assert.equal((await curl(...words, url)).out, 'hello from /a\n', words.join(' '));
  await one.when(({ records }) => records.length === 4);
  assert.deepEqual(
    one.records.map(({ method, protocol }) => `${method} ${protocol}`),
    ['GET http/1.1', 'CONNECT socks5', 'CONNECT socks4', 'CONNECT http/1.1'],
  );
  // One byte is enough for an answer where the protocol has one: a SOCKS5 greeting needs three.
  const request = asks('origin.test', echoing.port);
  for (let cut = 1; cut < request.length; cut++) {
    const client = await one.client();
    await client.sendCut(request, cut);
    await client.when(({ bytesReceived }) => bytesReceived === 12);
    client.socket.destroy();
  }
  const tls = await one.client();
  tls.send('\x16');
  assert.match(await tls.until('\r\n\r\n'), /^HTTP\/1\.1 400 /);
  tls.socket.destroy();
});

test('any:// with a certificate serves TLS on the same port, also behind a PROXY header', {
  skip: missing('curl'),
}, async () => {
  const own = selfSigned(['localhost', '127.0.0.1']);
  const tls = { cert: folder.write('proxy.pem', own.cert), key: folder.write('proxy.key', own.key) };
  const plain = { url: 'any://127.0.0.1:0', tls };
  await using one = await ProxyUnderTest.start(
    { listen: [plain, { ...plain, proxyProtocol: ['127.0.0.1'] }] },
    { lookup },
  );
  const url = `http://origin.test:${web.port}/a`;
  const secure = ['--proxy-cacert', tls.cert, '-x', `https://localhost:${one.port}`];
  for (const words of [
    secure,
    ['-p', ...secure],
    ['-x', `http://127.0.0.1:${one.port}`],
    ['--socks5-hostname', `127.0.0.1:${one.port}`],
  ]) {
    const { out, err } = await curl(...words, url);
    assert.equal(out, 'hello from /a\n', err);
  }
  await one.when(({ records }) => records.length === 4);
  assert.deepEqual(
    one.records.map(({ method, protocol }) => `${method} ${protocol}`),
    ['GET http/1.1', 'CONNECT http/1.1', 'GET http/1.1', 'CONNECT socks5'],
  );
  const client = await rawClient(Number(new URL(one.proxy.urls[1] ?? '').port));
  client.send('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n');
  const inside = connectTls({ socket: client.socket, ca: own.cert, servername: 'localhost' });
  await once(inside, 'secureConnect');
  inside.write(`CONNECT ${echoing.authority} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const [head] = await once(inside, 'data');
  assert.match(String(head), /^HTTP\/1\.1 200 /);
  inside.destroy();
  assert.equal((await one.record(4)).client.address, '192.0.2.1');
});

test('a client that is connected when a reload changes what is spoken still needs its ticket', async () => {
  const listen = (url: string) => ({ listen: { url, negotiate: { keytab: certificate } } });
  await using one = await ProxyUnderTest.start(listen('http://127.0.0.1:0'));
  using client = await one.client();
  const { authority } = echoing;
  const asked = async () => {
    client.send(`GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    return (await one.record(one.records.length)).failure;
  };
  assert.equal(await asked(), 'client_auth_required');
  await one.proxy.reload(resolveOptions({ ...listen('any://127.0.0.1:0'), log: { format: 'off' } }));
  assert.equal(await asked(), 'client_auth_required');
});

test('a reload changes what is spoken on a port, and its socket stays', async () => {
  await using one = await ProxyUnderTest.start({ listen: 'http://127.0.0.1:0' });
  const { port } = one;
  await one.proxy.reload(resolveOptions({ listen: 'any://127.0.0.1:0', log: { format: 'off' } }));
  assert.deepEqual(one.proxy.urls, [`any://127.0.0.1:${port}`]);
  const client = await one.client();
  client.send(asks('127.0.0.1', echoing.port));
  await client.when(({ bytesReceived }) => bytesReceived === 12);
  client.socket.destroy();
});
