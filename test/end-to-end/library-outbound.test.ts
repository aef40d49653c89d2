/** What a route hook may say about the connections of its routes. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { type ProxyOptions, type ProxyRecord, type RouteHook, startProxy } from '../../src/index.ts';
import { blackHole } from '../support/black-hole.ts';
import { selfSigned } from '../support/certificate.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';

/** Linux has all of 127.0.0.0/8 on loopback. */
const skip = process.platform === 'linux' ? false : 'more than one address of loopback is a matter of Linux';

async function ask(options: ProxyOptions, ...requests: readonly string[]) {
  await using proxy = await startProxy(options);
  const records: ProxyRecord[] = [];
  const texts: string[] = [];
  proxy.on('close', ({ record }) => records.push(record));
  for (const request of requests) {
    using client = await rawClient(proxy.port);
    client.send(request);
    await client.until('\r\n\r\n');
    client.end();
    await client.ended();
    texts.push(client.text);
  }
  return { texts, records };
}

/** A server that says from which address it was reached. */
const telling = () => RawOrigin.listen((peer) => void peer.send(`from ${peer.socket.remoteAddress}`).end());

test(
  'from: connections come from these local addresses in turns, and interfaces are names for theirs',
  { skip },
  leavesNothing(async () => {
    await using origin = await telling();
    const request = connectTo(origin.authority);
    const turns = await ask(
      { route: () => ({ via: 'direct', from: ['127.0.0.7', '127.0.0.8'] }) },
      ...Array(4).fill(request),
    );
    const seen = turns.texts.map((text) => text.split('from ')[1]);
    assert.deepEqual(seen.sort(), ['127.0.0.7', '127.0.0.7', '127.0.0.8', '127.0.0.8']);
    const named = await ask({ route: () => ({ via: 'direct', from: 'lo' }) }, request);
    assert.match(named.texts[0] ?? '', /from 127\.0\.0\.1$/);
    const none = await ask({ route: () => ({ via: 'direct', from: ['2001:db8::1', 'no-such0'] }) }, request);
    assert.deepEqual(
      none.records.map(({ failure, detail }) => [failure, detail]),
      [['host_unreachable', 'none of 2001:db8::1, no-such0 is an address of this machine to reach 127.0.0.1']],
    );
  }),
);

test(
  'routes.rules may say from which address, which family, and how long',
  { skip },
  leavesNothing(async () => {
    await using origin = await telling();
    const rules = (more: object) => ({ routes: { rules: [{ hosts: '*', via: 'direct', ...more }] } });
    const { texts } = await ask(rules({ from: '127.0.0.9', family: 4 }), connectTo(origin.authority));
    assert.match(texts[0] ?? '', /from 127\.0\.0\.9$/);
    const { records } = await ask(rules({ family: 6 }), connectTo(origin.authority));
    assert.deepEqual(
      records.map(({ failure, detail }) => [failure, detail]),
      [['dns_failed', '127.0.0.1 has no IPv6 address']],
    );
    await assert.rejects(startProxy(rules({ from: [] })), /routes\.rules\[0\]\.from/);
    await assert.rejects(startProxy(rules({ timeouts: { connect: 0 } })), /routes\.rules\[0\]\.timeouts\.connect/);
  }),
);

test(
  'lookup resolves for its own request, with the context, and family picks from what it returns',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(({ head }) => ok(/^Host: (.*?)\r/m.exec(head)?.[1] ?? '')));
    const asked: unknown[] = [];
    const route: RouteHook = () => ({
      via: 'direct',
      family: 4,
      lookup: async (host, { kind, state }) => {
        asked.push([host, kind, state]);
        return ['::1', '127.0.0.1'];
      },
    });
    const get = `GET http://a.test:${origin.port}/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`;
    const { texts, records } = await ask({ route }, get, get);
    for (const text of texts) assert.match(text, new RegExp(`a\\.test:${origin.port}$`));
    assert.deepEqual(asked, Array(2).fill(['a.test', 'forward', {}]));
    assert.deepEqual(
      records.map(({ address }) => address),
      ['127.0.0.1', '127.0.0.1'],
    );
    const failing = await ask({ route: () => ({ via: 'direct', lookup: () => 'nonsense' }) }, get);
    assert.deepEqual([failing.records[0]?.failure], ['hook_failed']);
  }),
);

test(
  'timeouts: connect and idle hold for this route only',
  leavesNothing(async () => {
    await using hole = await blackHole();
    await using silent = await RawOrigin.listen(echo);
    const at = `${hole.host}:${hole.port}`;
    const slow = await ask({ route: () => ({ via: 'direct', timeouts: { connect: '50ms' } }) }, connectTo(at));
    assert.deepEqual([slow.records[0]?.failure], ['connect_timeout']);
    await using proxy = await startProxy({ route: () => ({ via: 'direct', timeouts: { idle: '30ms' } }) });
    const ended = new Promise<ProxyRecord>((resolve) => proxy.once('close', ({ record }) => resolve(record)));
    using client = await rawClient(proxy.port);
    client.send(connectTo(silent.authority));
    await client.ended();
    assert.equal((await ended).end, 'idle');
  }),
);

test(
  'keepAlive: false serves one request on each connection, and the default serves many',
  leavesNothing(async () => {
    for (const [keepAlive, connections] of [
      [false, 3],
      [undefined, 1],
    ] as const) {
      await using origin = await RawOrigin.listen(answering(() => ok('hello')));
      const get = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
      await ask({ route: () => ({ via: 'direct', keepAlive }) }, get, get, get);
      assert.equal(origin.connections.length, connections);
    }
  }),
);

/** An upstream proxy on TLS that opens every tunnel, and says which certificate the client has. */
async function tlsProxy(options: TlsOptions) {
  const server = createTlsServer(options, (socket) => {
    socket
      .on('error', () => undefined)
      .once('data', () => {
        const { subject } = socket.getPeerCertificate();
        socket.end(`HTTP/1.1 200 OK\r\n\r\nclient ${subject?.CN ?? 'without certificate'}`);
      });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { url: `https://127.0.0.1:${address.port}`, [Symbol.asyncDispose]: async () => void server.close() };
}

test(
  'tls: an authority, a pinned fingerprint, a server name, a certificate of our own, or no check at all',
  leavesNothing(async () => {
    const certificate = selfSigned(['proxy.test']);
    const ours = selfSigned(['me']);
    await using proxy = await tlsProxy({ ...certificate, requestCert: true, rejectUnauthorized: false });
    const { raw } = new X509Certificate(certificate.cert);
    const fingerprint256 = createHash('sha256').update(raw).digest('hex');
    const outcomes: unknown[] = [];
    for (const tls of [
      undefined,
      { ca: certificate.cert },
      { ca: certificate.cert, servername: 'proxy.test' },
      { fingerprint256: fingerprint256.toUpperCase().replaceAll(/..(?=.)/g, '$&:') },
      { fingerprint256: `00${fingerprint256.slice(2)}` },
      { rejectUnauthorized: false, cert: ours.cert, key: ours.key },
      { fingerprint256: 'abc' },
      { cert: ours.cert, key: certificate.key },
    ]) {
      const { texts, records } = await ask({ route: () => [{ url: proxy.url, tls }] }, connectTo('a.test:443'));
      outcomes.push(records[0]?.failure ?? texts[0]?.split('\r\n\r\n')[1]);
    }
    assert.deepEqual(outcomes, [
      'certificate_rejected',
      'certificate_rejected',
      'client without certificate',
      'client without certificate',
      'certificate_rejected',
      'client me',
      'no_route',
      'no_route',
    ]);
  }),
);
