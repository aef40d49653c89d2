/** The PROXY protocol, as load balancers put it in front of connections, and HAProxy itself in front of the proxy. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { jsonRecord } from '../../src/observe/format-json.ts';
import { freePorts } from '../lab/daemon.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';
import { Web } from '../support/web.ts';

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';
const LINE = 'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n';
const LOCAL = `${SIGNATURE}\x20\0\0\0`;

let web: Web;
let echoing: RawOrigin;
before(async () => {
  web = await Web.open();
  echoing = await RawOrigin.listen(echo);
});
after(async () => {
  await web[Symbol.asyncDispose]();
  await echoing[Symbol.asyncDispose]();
});

const listen = (url: string, peers: readonly string[] = ['127.0.0.1']) => ({ url, proxyProtocol: peers });

test('the header names the client to clients.allow, to limits and to the log, wherever it is cut', async () => {
  await using proxy = await ProxyUnderTest.start({
    listen: listen('http://127.0.0.1:0'),
    clients: { allow: ['192.0.2.0/24'] },
  });
  const bytes = Buffer.from(`${LINE}${connectTo(echoing.authority)}ahead`);
  for (let cut = 1; cut < bytes.length; cut += 7) {
    const client = await proxy.client();
    await client.sendCut(bytes, cut);
    assert.match(await client.until('ahead'), /^HTTP\/1\.1 200 .*\r\n\r\nahead$/s, `cut at ${cut}`);
    client.end();
    await client.ended();
    const record = await proxy.record();
    assert.deepEqual(
      [record.client.address, record.client.port, record.status, record.bytesUp],
      ['192.0.2.1', 56_324, 200, 5],
    );
    assert.match(jsonRecord(record), /"client":"192\.0\.2\.1"/);
    await proxy.forget();
  }
});

test('a limit of a client counts the one that was named, and not its balancer', async () => {
  await using proxy = await ProxyUnderTest.start({
    listen: listen('http://127.0.0.1:0'),
    limits: { tunnels: { client: 1, wait: 0 } },
  });
  const bytes = `${LINE}${connectTo(echoing.authority)}ahead`;
  const [first, second, other] = [await proxy.client(), await proxy.client(), await proxy.client()];
  first.send(bytes);
  await first.until('ahead');
  second.send(bytes);
  assert.match(await second.until('\r\n'), /^HTTP\/1\.1 429 /);
  other.send(bytes.replace('192.0.2.1', '192.0.2.9'));
  await other.until('ahead');
  for (const one of [first, second, other]) one.socket.destroy();
});

test('a client whose named address is not allowed is refused, though its balancer would be', async () => {
  await using proxy = await ProxyUnderTest.start({
    listen: listen('http://127.0.0.1:0'),
    clients: { allow: ['127.0.0.1'] },
  });
  const client = await proxy.client();
  client.send(LINE);
  assert.match(await client.until('\r\n'), /^HTTP\/1\.1 403 /);
  client.socket.destroy();
  const { failure, client: who } = await proxy.record();
  assert.deepEqual([failure, who.address], ['denied', '192.0.2.1']);
  // LOCAL is the balancer's own question, e.g. whether we are there.
  const local = await proxy.client();
  local.send(`${LOCAL}GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
  assert.match(await local.until('\r\n'), /^HTTP\/1\.1 200 /);
  local.socket.destroy();
  assert.equal((await proxy.record(1)).client.address, '127.0.0.1');
});

test('a peer that is not listed is closed before it has sent anything, and one notice counts them', async () => {
  await using proxy = await ProxyUnderTest.start({ listen: listen('http://127.0.0.1:0', ['192.0.2.0/24']) });
  for (let at = 0; at < 3; at++) {
    const client = await proxy.client();
    assert.equal(await client.ended(), 'fin');
    client.socket.destroy();
  }
  const isNotice = (event: { readonly type: string; readonly message?: string }) =>
    event.type === 'notice' &&
    /3 connections turned away: 127\.0\.0\.1 is not in proxyProtocol/.test(event.message ?? '');
  await proxy.when(({ events }) => events.some(isNotice));
  assert.deepEqual(proxy.records, []);
});

test('a listed peer must send the header: without it, the connection is closed without an answer', async () => {
  await using proxy = await ProxyUnderTest.start({ listen: listen('any://127.0.0.1:0') });
  for (const bytes of ['GET / HTTP/1.1\r\n', '\x05\x01\x00', '\x16\x03\x01', `${SIGNATURE}\x22`]) {
    await proxy.forget();
    const client = await proxy.client();
    client.send(bytes);
    await client.ended();
    assert.equal(client.text, '');
    const { kind, status, failure, detail } = await proxy.record();
    assert.deepEqual([kind, status, failure], ['malformed', 0, 'bad_request']);
    assert.match(detail ?? '', /PROXY header.* from a peer that must send one$/);
  }
});

test('on other listeners the header is no request', async () => {
  await using proxy = await ProxyUnderTest.start({});
  const client = await proxy.client();
  client.send(`${LINE}${connectTo(echoing.authority)}`);
  assert.match(await client.until('\r\n'), /^HTTP\/1\.1 4\d\d /);
  client.socket.destroy();
});

test('a header that stops is given up in time, and one that never begins too', async () => {
  await using proxy = await ProxyUnderTest.start({
    listen: listen('http://127.0.0.1:0'),
    timeouts: { requestHead: '100ms' },
  });
  const [silent, slow] = [await proxy.client(), await proxy.client()];
  slow.send('PROXY TCP4');
  await Promise.all([silent.ended(), slow.ended()]);
  assert.equal((await proxy.record()).failure, 'client_too_slow');
  assert.equal(proxy.records.length, 1);
  for (const one of [silent, slow]) one.socket.destroy();
});

test(
  'headers that are garbage leave nothing behind',
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start({ listen: listen('any://127.0.0.1:0') });
    const whole = Buffer.from(
      `${SIGNATURE}\x21\x11\0\x13\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb\x03\0\x04abcd`,
      'latin1',
    );
    for (let at = 0; at <= whole.length; at++) {
      for (const bytes of [whole.subarray(0, at), Buffer.concat([whole.subarray(0, at), Buffer.from([0xff, 0xff])])]) {
        const client = await proxy.client();
        client.send(bytes).end();
        await client.ended();
        client.socket.destroy();
      }
    }
  }),
);

test('curl --haproxy-protocol', { skip: missing('curl') }, async () => {
  await using proxy = await ProxyUnderTest.start({ listen: listen('any://127.0.0.1:0') });
  // curl sends the header to the host that it connects to, which is the origin of an URL: the proxy's own page.
  const { out } = await run('curl', ['-sS', '--haproxy-protocol', `http://127.0.0.1:${proxy.port}/`]);
  assert.match(out, /proxy/i);
  const { client, status } = await proxy.record();
  assert.deepEqual([client.address, status], ['127.0.0.1', 200]);
});

/** HAProxy as Debian ships it, in TCP mode in front of a proxy. */
async function haproxy(
  version: 'send-proxy' | 'send-proxy-v2' | 'send-proxy-v2 proxy-v2-options crc32c',
  port: number,
) {
  const folder = temporaryFolder();
  const [front = 0] = await freePorts(1);
  const file = folder.write(
    'haproxy.cfg',
    [
      'defaults',
      '  mode tcp',
      '  timeout connect 5s',
      '  timeout client 10s',
      '  timeout server 10s',
      'listen front',
      `  bind 127.0.0.1:${front}`,
      `  server viaduct 127.0.0.1:${port} check inter 200ms check-send-proxy ${version}`,
      '',
    ].join('\n'),
  );
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore', cwd: folder.path });
  await until(async () => await accepts(front), 'HAProxy');
  return {
    port: front,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'close');
      child.kill('SIGKILL');
      await ended;
      folder[Symbol.dispose]();
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

for (const version of ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c'] as const) {
  test(`HAProxy in front with ${version}: the log names its client`, { skip: missing('haproxy', 'curl') }, async () => {
    await using proxy = await ProxyUnderTest.start({ listen: listen('any://127.0.0.1:0') });
    await using front = await haproxy(version, proxy.port);
    const url = `http://127.0.0.1:${web.port}/a`;
    for (const words of [
      ['-x', `http://127.0.0.1:${front.port}`],
      ['--socks5', `127.0.0.1:${front.port}`],
    ]) {
      const { out, err } = await run('curl', ['-sS', '--max-time', '8', '--interface', '127.0.0.9', ...words, url]);
      assert.equal(out, 'hello from /a\n', err);
    }
    await proxy.when(({ records }) => records.filter(({ status }) => status === 200).length === 2);
    assert.deepEqual(
      proxy.records.filter(({ status }) => status === 200).map(({ client, protocol }) => [client.address, protocol]),
      [
        ['127.0.0.9', 'http/1.1'],
        ['127.0.0.9', 'socks5'],
      ],
    );
  });
}
