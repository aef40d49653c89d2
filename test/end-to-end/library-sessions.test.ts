/** The live view of a program, and what it can end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type ProxyEvent, type ProxyRecord, startProxy } from '../../src/index.ts';
import { selfSigned } from '../support/certificate.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const OPEN = 'HTTP/1.1 200 Connection established\r\n\r\n';

async function openTunnel(port: number, authority: string, more = ''): Promise<RawPeer> {
  const client = await rawClient(port);
  client.send(connectTo(authority).replace(/\r\n\r\n$/, `\r\n${more}\r\n`));
  await client.until(OPEN);
  return client;
}

for (const relay of ['auto', 'portable'] as const) {
  test(
    `sessions show tunnels with their bytes so far, and one is closed by its id (relay ${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(echo);
      const records: ProxyRecord[] = [];
      await using proxy = await startProxy({
        relay,
        authorize: (ctx) => {
          ctx.state.plan = 'gold';
          return ctx.allow();
        },
      });
      proxy.on('close', ({ record }) => records.push(record));
      using client = await openTunnel(proxy.port, origin.authority);
      client.send('x'.repeat(1000));
      await client.until('x'.repeat(1000));
      const [session, ...others] = proxy.sessions();
      assert.ok(session !== undefined && others.length === 0);
      const { id, client: from, startedAt, ageMs, ...rest } = session;
      assert.deepEqual(rest, {
        kind: 'tunnel',
        method: 'CONNECT',
        target: { host: '127.0.0.1', port: origin.port },
        url: undefined,
        user: undefined,
        route: { via: 'direct' },
        address: '127.0.0.1',
        step: 'relay',
        bytesUp: 1000,
        bytesDown: 1000,
        wire: {
          clientRead: connectTo(origin.authority).length + 1000,
          clientWritten: OPEN.length + 1000,
          upstreamRead: 1000,
          upstreamWritten: 1000,
        },
        limits: [],
        heldBy: undefined,
        state: { plan: 'gold' },
      });
      assert.equal(from.address, '127.0.0.1');
      assert.ok(startedAt instanceof Date && ageMs > 0);
      assert.equal(proxy.session(id).info()?.bytesUp, 1000);
      assert.equal(proxy.session(id).close('the trial is over'), true);
      await client.ended();
      await until(() => records.length === 1, 'the record');
      assert.deepEqual(
        records.map(({ failure, detail, bytesUp, bytesDown }) => [failure, detail, bytesUp, bytesDown]),
        [['terminated', 'the trial is over', 1000, 1000]],
      );
      assert.deepEqual(records[0]?.wire, {
        clientRead: connectTo(origin.authority).length + 1000,
        clientWritten: OPEN.length + 1000,
        upstreamRead: 1000,
        upstreamWritten: 1000,
      });
      assert.equal(proxy.session(id).info(), undefined);
      assert.equal(proxy.session(id).close(), false);
      assert.deepEqual(proxy.sessions(), []);
    }),
  );
}

test(
  'closeSessions ends those that its filter picks, and all without one',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await startProxy({
      authenticate: ({ username }) => (username === '' ? null : { id: username }),
    });
    const records: ProxyRecord[] = [];
    proxy.on('close', ({ record }) => records.push(record));
    const login = (user: string) => `Proxy-Authorization: Basic ${Buffer.from(`${user}:`).toString('base64')}\r\n`;
    const names = ['ann', 'ann', 'bob', 'cy', 'cy'];
    const clients = await Promise.all(names.map((name) => openTunnel(proxy.port, origin.authority, login(name))));
    assert.equal(proxy.closeSessions({ user: 'ann' }, 'no more ann'), 2);
    assert.equal(proxy.closeSessions({ user: 'ann', host: 'elsewhere.test' }), 0);
    await until(() => records.length === 2, 'two records');
    assert.equal(
      proxy.closeSessions(({ user }) => user === 'bob'),
      1,
    );
    await until(() => records.length === 3, 'three records');
    assert.equal(proxy.closeSessions(), 2);
    await until(() => records.length === 5, 'all records');
    assert.deepEqual(
      records.slice(0, 2).map(({ principal, detail }) => [principal, detail]),
      Array(2).fill(['ann', 'no more ann']),
    );
    assert.deepEqual(records.map(({ principal }) => principal).sort(), [...names].sort());
    for (const client of clients) client.socket.destroy();
  }),
);

test(
  'a session that is closed when its response begins is cut, also where all of its body is there',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('x'.repeat(100_000))));
    await using proxy = await startProxy({ limit: () => ({ down: [{ key: 'all', rate: '16KiB' }] }) });
    proxy.on('response', ({ id }) => proxy.session(id).close('enough'));
    using client = await rawClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
    const record = new Promise<ProxyRecord>((resolve) => proxy.once('close', (event) => resolve(event.record)));
    await client.ended();
    const { failure, detail, bytesDown } = await record;
    assert.deepEqual([failure, detail], ['terminated', 'enough']);
    assert.ok(bytesDown < 100_000);
  }),
);

test(
  'a program hears of each connection once, of what upstream proxies answer, and of what fails',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen((peer) => {
      void peer.until('\r\n\r\n').then((head) => {
        const isOpen = head.includes('open.test');
        peer.send(isOpen ? 'HTTP/1.1 200 OK\r\nX-Exit: 192.0.2.7\r\n\r\n' : 'HTTP/1.1 403 No\r\nX-Why: rule\r\n\r\n');
        peer.end();
      });
    });
    await using origin = await RawOrigin.listen(answering(() => ok('hello')));
    await using proxy = await startProxy({
      route: (ctx) => {
        ctx.state.tag = ctx.target.host;
        return ctx.kind === 'tunnel' ? `http://${upstream.authority}` : 'direct';
      },
    });
    const heard: ProxyEvent[] = [];
    for (const name of ['connection', 'connectionClosed', 'upstreamResponse', 'error', 'request', 'close'] as const)
      proxy.on(name, (event) => heard.push(event));
    for (const host of ['open.test', 'closed.test']) {
      using client = await rawClient(proxy.port);
      client.send(connectTo(`${host}:443`));
      await client.ended();
      client.socket.destroy();
    }
    using client = await rawClient(proxy.port);
    const get = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n`;
    client.send(`${get}\r\n${get}Connection: close\r\n\r\n`);
    await client.ended();
    client.socket.destroy();
    await until(() => heard.filter(({ type }) => type === 'connectionClosed').length === 3, 'three ends');
    assert.deepEqual(
      heard
        .map(({ type }) => type)
        .filter((type) => type.startsWith('connection'))
        .sort(),
      [...Array(3).fill('connection'), ...Array(3).fill('connectionClosed')],
    );
    const answers = heard.flatMap((event) =>
      event.type === 'upstreamResponse'
        ? [[event.proxy, event.status, event.headers, event.state?.tag]]
        : event.type === 'error'
          ? [[event.error.code, event.state?.tag]]
          : [],
    );
    assert.deepEqual(answers, [
      [`http://${upstream.authority}`, 200, [['X-Exit', '192.0.2.7']], 'open.test'],
      [`http://${upstream.authority}`, 403, [['X-Why', 'rule']], 'closed.test'],
      ['upstream_refused', 'closed.test'],
    ]);
    const clients = new Set(heard.flatMap((event) => (event.type === 'request' ? [event.request.client] : [])));
    const opened = heard.flatMap((event) => (event.type === 'connection' ? [event.client] : []));
    const closed = heard.flatMap((event) => (event.type === 'connectionClosed' ? [event.client] : []));
    assert.deepEqual([...clients], opened);
    for (const [at, one] of opened.entries()) assert.ok(clients.has(one) && closed.includes(one), `client ${at}`);
  }),
);

test(
  'closeSessions ends what is in progress, and keeps its connection; close ends connections that wait at once',
  leavesNothing(async () => {
    await using silent = await RawOrigin.listen(() => undefined);
    await using origin = await RawOrigin.listen(answering(() => ok('hello')));
    using folder = temporaryFolder();
    const { key, cert } = selfSigned();
    const tls = { cert: folder.write('cert.pem', cert), key: folder.write('key.pem', key) };
    const proxy = await startProxy({ listen: ['http://127.0.0.1:0', { url: 'https://127.0.0.1:0', tls }] });
    const [plain = '', secure = ''] = proxy.urls;
    const get = (authority: string) => `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
    using client = await rawClient(proxy.port);
    client.send(get(silent.authority));
    await silent.connection();
    assert.equal(proxy.closeSessions({ host: '127.0.0.1' }, 'enough'), 1);
    assert.match(await client.until(/^HTTP\/1\.1 503 [\s\S]*\r\n\r\n.*\n/), /terminated|ended the request/);
    client.forget(client.bytesReceived);
    client.send(get(origin.authority));
    await client.until('hello');
    assert.equal(proxy.closeSessions(), 0);
    // One has served a request, one has sent none; one waits inside TLS, one inside HTTP/2.
    using fresh = await rawClient(Number(new URL(plain).port));
    const port = Number(new URL(secure).port);
    const ends = ['http/1.1', 'h2'].map((protocol) => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: [protocol] });
      const closed = new Promise((resolve) =>
        socket
          .resume()
          .on('error', () => undefined)
          .once('close', resolve),
      );
      return { secured: once(socket, 'secureConnect'), closed };
    });
    await Promise.all(ends.map(({ secured }) => secured));
    const closing = proxy.close();
    await Promise.all([client.ended(), fresh.ended(), ...ends.map(({ closed }) => closed)]);
    assert.deepEqual({ ...(await closing), longestMs: 0 }, { finished: 0, aborted: 0, longestMs: 0 });
  }),
);

test(
  'behind TLS too, the requests of a connection carry the object that its events carry',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const { key, cert } = selfSigned();
    const tls = { cert: folder.write('cert.pem', cert), key: folder.write('key.pem', key) };
    await using proxy = await startProxy({
      listen: { url: 'https://127.0.0.1:0', tls },
      respond: () => ({ status: 204 }),
    });
    const seen: unknown[] = [];
    proxy.on('connection', ({ client }) => seen.push(client));
    proxy.on('request', ({ request }) => seen.push(request.client));
    proxy.on('connectionClosed', ({ client }) => seen.push(client));
    const socket = connectTls({ port: proxy.port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.resume().end('GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
    await once(socket, 'close');
    await until(() => seen.length === 3, 'three events');
    assert.equal(new Set(seen).size, 1);
  }),
);
