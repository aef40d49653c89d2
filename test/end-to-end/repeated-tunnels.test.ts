/**
 * A CONNECT that is the same as one a moment ago is not decided about again: the addon opens its tunnel. For its client, its
 * target, the log and the configuration that must make no difference.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import type { ProxyRecord } from '../../src/contracts/record.ts';
import { loadAddon } from '../../src/native/addon.ts';
import { blackHole } from '../support/black-hole.ts';
import { hashOf, hashOfPattern, sendPattern } from '../support/bulk.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { until } from '../support/until.ts';

const skip = loadAddon().addon === undefined && 'the addon is not built';
const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n';

const start = (config: ConfigInput = {}): Promise<ProxyUnderTest> =>
  ProxyUnderTest.start(config, { decisions: 'repeat' });

/** Connections that TypeScript has dialled: none for a tunnel that is repeated. */
const dialled = ({ events }: ProxyUnderTest): number => events.filter(({ type }) => type === 'dialing').length;

/** One tunnel that says `ping`, is echoed, and ends. */
async function ping(proxy: ProxyUnderTest, authority: string, head: string = connectTo(authority)): Promise<void> {
  using client = await proxy.client();
  client.send(`${head}ping`);
  await client.until(`${ESTABLISHED}ping`);
  client.end();
  await client.ended();
}

/** A decision is repeated for a second only: a slow machine may need more than one attempt to use it. */
async function repeats(proxy: ProxyUnderTest, attempt: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    const before = dialled(proxy);
    await attempt();
    if (dialled(proxy) === before) return;
    assert.ok(tries < 20, 'nothing is repeated');
  }
}

const portOf = (client: RawPeer | undefined): number | undefined => client?.socket.localPort;

/** Resolves once the tunnel of a client is in progress for all to see. */
const inProgress = (proxy: ProxyUnderTest, client: RawPeer | undefined): Promise<void> =>
  until(
    () => proxy.proxy.sessions.snapshot().some(({ record }) => record.client.port === portOf(client)),
    'it is in progress',
  );

/** Resolves once the tunnel of the client at that port has ended so. */
const endedBy = (proxy: ProxyUnderTest, port: number | undefined, end: ProxyRecord['end']): Promise<void> =>
  proxy.when(({ records }) => records.some((record) => record.client.port === port && record.end === end));

const same = ({ id, client, startedAt, durationMs, timings, ...record }: ProxyRecord) => ({
  ...record,
  client: { ...client, port: 0 },
});

function testRepeated(name: string, run: () => Promise<void>): void {
  test(name, { skip }, leavesNothing(run));
}

testRepeated('a CONNECT that comes again has the same bytes, events and record as the first', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  await ping(proxy, origin.authority);
  await proxy.forget();
  await ping(proxy, origin.authority);
  const first = await proxy.record();
  const events = proxy.events.map(({ type }) => type).filter((type) => type !== 'connected');
  await repeats(proxy, async () => {
    await proxy.forget();
    await ping(proxy, origin.authority);
    await proxy.record();
  });
  const [again] = proxy.records;
  assert.ok(again !== undefined);
  assert.deepEqual(same(again), same(first));
  assert.ok(again.id !== first.id && again.client.port !== first.client.port);
  assert.ok(again.startedAt >= first.startedAt && again.durationMs >= 0);
  assert.deepEqual(Object.keys(again.timings), ['identify', 'admit', 'route', 'connect', 'relay']);
  await proxy.when(({ events: seen }) => seen.some(({ type }) => type === 'connectionClosed'));
  const seen = proxy.events.map(({ type }) => type);
  assert.deepEqual(
    ['connection', 'request', 'decided', 'routed', 'response', 'established', 'close', 'connectionClosed'],
    seen,
    `the events of another one: ${events}`,
  );
});

testRepeated('a head that differs in one byte is decided about', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  const heads = [
    connectTo(origin.authority),
    connectTo(origin.authority, 'User-Agent: a'),
    connectTo(origin.authority, 'User-Agent: b'),
    connectTo(origin.authority, 'user-agent: b'),
    connectTo(origin.authority, 'User-Agent: b '),
  ];
  await ping(proxy, origin.authority);
  for (const head of heads.slice(1)) {
    const before = dialled(proxy);
    await ping(proxy, origin.authority, head);
    assert.equal(dialled(proxy), before + 1, JSON.stringify(head));
  }
});

testRepeated('a head that comes in two parts is served, wherever it is cut', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  const sent = `${connectTo(origin.authority)}ping`;
  await ping(proxy, origin.authority);
  for (let at = 1; at < sent.length; at += 3) {
    using client = await proxy.client();
    client.send(sent.slice(0, at));
    await new Promise(setImmediate);
    client.send(sent.slice(at));
    assert.equal(await client.until(`${ESTABLISHED}ping`), `${ESTABLISHED}ping`, `cut at ${at}`);
  }
});

testRepeated('a reload that denies the target denies the very next CONNECT to it', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  await repeats(proxy, () => ping(proxy, origin.authority));
  const config = { listen: 'http://127.0.0.1:0', log: { format: 'off' }, access: [{ default: 'deny' }] } as const;
  await proxy.proxy.reload(resolveOptions(config, {}, {}));
  using client = await proxy.client();
  client.send(connectTo(origin.authority));
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 403 /);
});

testRepeated('nothing is repeated for longer than a second', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  const startedMs = performance.now();
  await until(async () => {
    await ping(proxy, origin.authority);
    return dialled(proxy) >= 3;
  }, 'a third decision');
  // Three decisions are at least two seconds apart; with repetition there are no more.
  const secondsMax = (performance.now() - startedMs) / 1_000 + 2;
  assert.ok(dialled(proxy) >= 3 && secondsMax >= 3, `${dialled(proxy)} decisions in ${secondsMax} s`);
});

testRepeated('what was decided before a change of mode is not repeated behind it', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  using first = await proxy.client();
  first.send(`${connectTo(origin.authority)}ping`);
  await proxy.when(() => dialled(proxy) === 1);
  proxy.proxy.setMode('configured', undefined);
  await first.until(`${ESTABLISHED}ping`);
  await ping(proxy, origin.authority);
  assert.equal(dialled(proxy), 2);
});

testRepeated('a target that is gone meanwhile gets the refusal that it always gets', async () => {
  const origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  await repeats(proxy, () => ping(proxy, origin.authority));
  await origin[Symbol.asyncDispose]();
  using client = await proxy.client();
  client.send(connectTo(origin.authority));
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 502 connection_refused: /);
  await proxy.when(({ records }) => records.some(({ failure }) => failure === 'connection_refused'));
});

testRepeated('a target that does not answer any more is dialled as it always is', async () => {
  await using hole = await blackHole();
  hole.wake();
  await using proxy = await start({ timeouts: { connect: '10s' } });
  const connect = connectTo(`${hole.host}:${hole.port}`);
  await repeats(proxy, async () => {
    using client = await proxy.client();
    client.send(connect);
    await client.until(`${ESTABLISHED}late`);
  });
  await hole.sleep();
  const before = dialled(proxy);
  using client = await proxy.client();
  client.send(connect);
  await proxy.when(() => dialled(proxy) > before);
  hole.wake();
  assert.equal(await client.until('late'), `${ESTABLISHED}late`);
});

testRepeated('a client whose target does not answer any more is answered by a proxy that stops', async () => {
  await using hole = await blackHole();
  hole.wake();
  const proxy = await start({ timeouts: { connect: '10s' } });
  const connect = connectTo(`${hole.host}:${hole.port}`);
  let client: RawPeer | undefined;
  const { addon } = loadAddon();
  const isTaken = () => (addon?.repeats.unreported() ?? 0) > 0;
  const isKnown = () =>
    proxy.events.some((event) => event.type === 'connection' && event.client.port === portOf(client));
  for (let tries = 1; client === undefined || !isTaken(); tries++) {
    assert.ok(tries < 20, 'the addon takes no client');
    client?.socket.destroy();
    hole.wake();
    await repeats(proxy, async () => {
      using another = await proxy.client();
      another.send(connect);
      await another.until(`${ESTABLISHED}late`);
    });
    await hole.sleep();
    client = await proxy.client();
    client.send(connect);
    await until(() => isTaken() || isKnown(), 'it is accepted');
  }
  const closing = proxy.proxy.close({ drainMs: 20_000 });
  hole.wake();
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 \d{3} /);
  await client.ended();
  client[Symbol.dispose]();
  await closing;
  await proxy[Symbol.asyncDispose]();
});

testRepeated('a tunnel that goes on is in progress as any other: seen, counted, and ended by its id', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  let client: RawPeer | undefined;
  await repeats(proxy, async () => {
    client?.end();
    await client?.ended();
    client = await proxy.client();
    client.send(`${connectTo(origin.authority)}ping`);
    await client.until(`${ESTABLISHED}ping`);
    await inProgress(proxy, client);
  });
  assert.ok(client !== undefined);
  // The relay's thread counts bytes when it has sent them.
  await until(
    () => proxy.proxy.sessions.snapshot().some(({ record }) => record.bytesDown === 4),
    'its bytes are counted',
  );
  const live = proxy.proxy.sessions.snapshot().find(({ record }) => record.client.port === portOf(client));
  assert.ok(live !== undefined);
  const { id, bytesUp, bytesDown, kind, target, client: from } = live.record;
  assert.deepEqual(
    [live.step, kind, target, bytesUp, bytesDown, from.port],
    ['relay', 'tunnel', { host: origin.host, port: origin.port }, 4, 4, client.socket.localPort],
  );
  client.send('more');
  await client.until('more');
  await until(() => proxy.proxy.sessions.find(id)?.record.bytesUp === 8, 'its bytes are counted');
  assert.ok(proxy.proxy.sessions.end(id, 'an operator'));
  assert.equal(await client.ended(), 'reset');
  await proxy.when(({ records }) => records.some((record) => record.id === id));
  const record = proxy.records.find((one) => one.id === id);
  assert.deepEqual([record?.failure, record?.detail, record?.end], ['terminated', 'an operator', 'aborted']);
});

testRepeated('either side may end first, and the other goes on', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await start();
  const open = async (first: RawPeer | undefined): Promise<[RawPeer, RawPeer]> => {
    const at = origin.connections.length;
    first?.socket.destroy();
    const client = await proxy.client();
    client.send(connectTo(origin.authority));
    await client.until(ESTABLISHED);
    client.forget(ESTABLISHED.length);
    return [client, await origin.connection(at)];
  };
  for (const order of ['client', 'origin'] as const) {
    let pair: [RawPeer, RawPeer] | undefined;
    await repeats(proxy, async () => {
      pair = await open(pair?.[0]);
    });
    assert.ok(pair !== undefined);
    const [client, target] = pair;
    const port = portOf(client);
    const [first, second] = order === 'client' ? [client, target] : [target, client];
    first.send('the end').end();
    await second.until('the end');
    // Longer than a tunnel goes unreported: its half-close comes with the report, or behind it.
    await inProgress(proxy, client);
    second.send('the answer').end();
    await first.until('the answer');
    await first.ended();
    await endedBy(proxy, port, order === 'client' ? 'client' : 'upstream');
  }
});

testRepeated('an idle tunnel and one whose client is silent after its end are closed in time', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await start({ timeouts: { idle: '400ms', linger: '400ms' } });
  let client: RawPeer | undefined;
  const open = async () => {
    client?.socket.destroy();
    client = await proxy.client();
    client.send(connectTo(origin.authority));
    await client.until(ESTABLISHED);
  };
  await repeats(proxy, open);
  const idle = portOf(client);
  await client?.ended();
  await endedBy(proxy, idle, 'idle');
  await repeats(proxy, open);
  const silent = portOf(client);
  client?.end();
  await endedBy(proxy, silent, 'client');
});

testRepeated('a stop waits for a tunnel that was opened a moment before, and a second one ends it', async () => {
  await using origin = await RawOrigin.listen(echo);
  const proxy = await start();
  await repeats(proxy, () => ping(proxy, origin.authority));
  const clients = await Promise.all(Array.from({ length: 20 }, () => proxy.client()));
  for (const client of clients) client.send(connectTo(origin.authority));
  await Promise.all(clients.map((client) => client.until(ESTABLISHED)));
  const closing = proxy.proxy.close({ drainMs: 30_000 });
  for (const client of clients.slice(0, 10)) {
    client.send('still here');
    await client.until('still here');
    client.end();
    await client.ended();
  }
  await until(() => proxy.proxy.sessions.snapshot().length === 10, 'ten are left');
  void proxy.proxy.close({ drainMs: 0 });
  for (const client of clients.slice(10)) assert.equal(await client.ended(), 'reset');
  const { finished, aborted } = await closing;
  assert.deepEqual([finished >= 10, aborted], [true, 10]);
  await proxy[Symbol.asyncDispose]();
});

testRepeated('a limit that a reload brings holds for tunnels that were repeated before', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await start();
  let client: RawPeer | undefined;
  await repeats(proxy, async () => {
    client?.socket.destroy();
    client = await proxy.client();
    client.send(connectTo(origin.authority));
    await client.until(ESTABLISHED);
    await inProgress(proxy, client);
  });
  assert.ok(client !== undefined);
  const limits = { quota: [{ name: 'small', per: 'proxy', bytes: 100_000, every: '1h' }] } as const;
  await proxy.proxy.reload(resolveOptions({ listen: 'http://127.0.0.1:0', log: { format: 'off' }, limits }, {}, {}));
  const port = portOf(client);
  client.send('x'.repeat(1_000_000));
  assert.equal(await client.ended(), 'reset');
  await endedBy(proxy, port, 'limit');
});

testRepeated('each of many tunnels has its own bytes in its record, however long it was open', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  const sent = new Map<number | undefined, number>();
  const visit = async (bytes: number) => {
    using client = await proxy.client();
    sent.set(portOf(client), bytes);
    client.send(`${connectTo(origin.authority)}${'x'.repeat(bytes)}`);
    await client.until(ESTABLISHED + 'x'.repeat(bytes));
    // Every other one is open for so long that it is reported before its end.
    if (bytes % 2 === 0) await inProgress(proxy, client);
    client.end();
    await client.ended();
  };
  await repeats(proxy, () => ping(proxy, origin.authority));
  await proxy.forget();
  const visitors = Array.from({ length: 8 }, async (_, which) => {
    for (let round = 0; round < 10; round++) await visit(100 * which + round + 1);
  });
  await Promise.all(visitors);
  await proxy.when(({ records }) => records.length === 80);
  for (const { client, bytesUp, bytesDown, end } of proxy.records) {
    const bytes = sent.get(client.port);
    assert.deepEqual([bytesUp, bytesDown, end], [bytes, bytes, 'client']);
  }
  assert.ok(dialled(proxy) < 40, `${dialled(proxy)} of 80 were decided about`);
});

testRepeated('a client that sends nothing is accepted all the same, and closed in time', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start({ timeouts: { requestHead: '300ms' } });
  await repeats(proxy, () => ping(proxy, origin.authority));
  const isOver = (port: number | undefined) =>
    proxy.when(({ events }) => events.some((event) => event.type === 'connectionClosed' && event.client.port === port));
  // The kernel keeps it from the proxy for a second at most.
  using silent = await proxy.client();
  const silentPort = portOf(silent);
  assert.equal(await silent.ended(), 'fin');
  await isOver(silentPort);
  // As checks of health do.
  using brief = await proxy.client();
  const briefPort = portOf(brief);
  brief.end();
  assert.equal(await brief.ended(), 'fin');
  await isOver(briefPort);
});

testRepeated('many bytes each way pass as they are', async () => {
  const bytes = 20_000_000;
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  await repeats(proxy, async () => {
    using client = await proxy.client();
    client.send(connectTo(origin.authority));
    await client.until(ESTABLISHED);
    client.forget(ESTABLISHED.length);
    client.socket.removeAllListeners('data');
    const got = hashOf(client.socket, bytes);
    await sendPattern(client.socket, bytes);
    assert.equal((await got).hash, hashOfPattern(bytes));
  });
});

testRepeated(
  'a listener for the PROXY protocol repeats nothing, least of all for a peer without a header',
  async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await start({ listen: { url: 'http://127.0.0.1:0', proxyProtocol: '127.0.0.1' } });
    const header = 'PROXY UNKNOWN\r\n';
    for (let at = 0; at < 3; at++) {
      using client = await proxy.client();
      client.send(header);
      client.send(`${connectTo(origin.authority)}ping`);
      await client.until(`${ESTABLISHED}ping`);
    }
    assert.equal(dialled(proxy), 3);
    using client = await proxy.client();
    client.send(`${connectTo(origin.authority)}ping`);
    await client.ended();
    assert.equal(client.text, '');
  },
);

testRepeated('a client at another address of the machine is another client', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start({ access: [{ deny: { clients: '127.0.0.2' } }] });
  await repeats(proxy, () => ping(proxy, origin.authority));
  using other = await rawClient(proxy.port, '127.0.0.1', '127.0.0.2');
  other.send(connectTo(origin.authority));
  assert.match(await other.until('\r\n\r\n'), /^HTTP\/1\.1 403 /);
});

for (const all of ['0.0.0.0', '[::]']) {
  testRepeated(`on ${all}, clients of other addresses and to other addresses of the machine are others`, async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await start({
      listen: `http://${all}:0`,
      clients: { allow: ['127.0.0.0/8'] },
      guard: { allow: ['127.0.0.1'] },
      access: [{ deny: { clients: '127.0.0.2' } }, { allow: { hosts: '127.0.0.1' } }, { default: 'deny' }],
    });
    await repeats(proxy, () => ping(proxy, origin.authority));
    const before = dialled(proxy);
    using elsewhere = await rawClient(proxy.port, '127.0.0.3', '127.0.0.1');
    elsewhere.send(connectTo(origin.authority));
    await elsewhere.until(ESTABLISHED);
    assert.equal(dialled(proxy), before + 1);
    using denied = await rawClient(proxy.port, '127.0.0.1', '127.0.0.2');
    denied.send(connectTo(origin.authority));
    assert.match(await denied.until('\r\n\r\n'), /^HTTP\/1\.1 403 /);
  });
}

for (const [why, config] of Object.entries<ConfigInput>({
  'clients have accounts': { clients: { users: { me: '{SHA}scHYc28g2z+2wcZrsUVe1DkJ8Ng=' }, allow: ['127.0.0.1'] } },
  'a rule has times': { access: [{ deny: { hosts: 'a.example', times: { from: '00:00', to: '00:01' } } }] },
  'there is a limit': { limits: { bandwidth: [{ name: 'all', per: 'proxy', rate: '1GiB' }] } },
  'the configuration says so': { decisions: 'each' },
})) {
  testRepeated(`every CONNECT is decided about where ${why}`, async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await start(config);
    const login = 'clients' in config ? ['Proxy-Authorization: Basic bWU6bWU='] : [];
    for (let at = 0; at < 4; at++) {
      using client = await proxy.client();
      client.send(connectTo(origin.authority, ...login));
      const head = await client.until('\r\n\r\n');
      if (login.length === 0) assert.match(head, /^HTTP\/1\.1 200 /);
    }
    if (login.length === 0) assert.equal(dialled(proxy), 4);
  });
}

testRepeated('a client that resets its connection at any moment costs its own tunnel alone', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start();
  await repeats(proxy, () => ping(proxy, origin.authority));
  for (let at = 0; at < 200; at++) {
    const client = await proxy.client();
    client.send(connectTo(origin.authority));
    if (at % 3 === 1) await new Promise(setImmediate);
    if (at % 3 === 2) await client.until(ESTABLISHED);
    client.socket.resetAndDestroy();
    await once(client.socket, 'close');
  }
  await ping(proxy, origin.authority);
  await until(() => proxy.proxy.open === 0 && proxy.proxy.sessions.snapshot().length === 0, 'none is left');
  await until(() => origin.openNow === 0, 'no connection to the target is left');
});
