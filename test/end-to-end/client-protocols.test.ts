import assert from 'node:assert/strict';
import { test } from 'node:test';
import { http1Protocol } from '../../src/clients/http1/protocol.ts';
import { Place } from '../../src/clients/places.ts';
import { jsonRecord } from '../../src/observe/format-json.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { lineProtocol } from '../support/line-protocol.ts';
import { ListeningProxy } from '../support/listening-proxy.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { until } from '../support/until.ts';
import { wirePair } from '../support/wire-pair.ts';

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);

/** An origin that sends back what it gets. */
const echoing = () =>
  RawOrigin.listen((peer) => {
    peer.socket.on('data', (chunk) => peer.send(chunk));
    peer.socket.on('end', () => peer.end());
  });

/** The line that a request in the line protocol is answered. */
async function ask(port: number, line: string): Promise<string> {
  using client = await rawClient(port);
  client.send(`${line}\n`);
  return await client.until('\n');
}

const nameless = (record: object): object => ({ ...record, id: '', startedAt: '', durationMs: 0, timings: {} });

test(
  'a protocol of a test opens tunnels through all steps, and its records say what they decided',
  leavesNothing(async () => {
    await using origin = await echoing();
    await using proxy = await ListeningProxy.start(
      {
        clients: { users: { alice: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } },
        access: [{ name: 'secret hosts', deny: { hosts: ['secret.example'] } }, { default: 'allow' }],
        guard: { deny: ['192.0.2.0/24'] },
        limits: { tunnels: { user: 1, wait: 0 } },
      },
      lineProtocol,
      { scheme: 'line' },
    );
    const { port } = proxy;
    assert.deepEqual(proxy.listeners.urls, [`line://127.0.0.1:${port}`]);

    // Identity: the credentials are fields of the protocol, and no header.
    assert.equal(await ask(port, `TUNNEL ${origin.authority}`), 'NO client_auth_required\n');
    assert.equal(await ask(port, `TUNNEL ${origin.authority} alice wrong`), 'NO client_auth_required\n');
    // Access and guard.
    assert.equal(await ask(port, 'TUNNEL secret.example:443 alice secret'), 'NO denied\n');
    assert.equal(await ask(port, 'TUNNEL 192.0.2.1:80 alice secret'), 'NO address_prohibited\n');

    using client = await rawClient(port);
    // What follows the line in the same packet is the tunnel's.
    client.send(`TUNNEL ${origin.authority} alice secret\nearly `);
    await client.until('OK\nearly ');
    // Limits.
    assert.equal(await ask(port, `TUNNEL ${origin.authority} alice secret`), 'NO too_many_tunnels\n');
    client.send('and late');
    await client.until('and late');
    assert.deepEqual([proxy.listeners.active, proxy.sessions.size], [1, 1]);
    const { localPort } = client.socket;
    client.end();
    const record = await proxy.record(5);
    assert.deepEqual(
      proxy.records.map(({ failure, status, principal }) => [failure, status, principal]),
      [
        ['client_auth_required', 407, undefined],
        ['client_auth_required', 407, undefined],
        ['denied', 403, 'alice'],
        ['address_prohibited', 403, 'alice'],
        ['too_many_tunnels', 429, 'alice'],
        [undefined, 200, 'alice'],
      ],
    );
    assert.deepEqual(nameless(record), {
      id: '',
      kind: 'tunnel',
      protocol: 'line',
      startedAt: '',
      durationMs: 0,
      client: { address: '127.0.0.1', port: localPort, listener: `line://127.0.0.1:${port}` },
      principal: 'alice',
      method: 'CONNECT',
      target: { host: '127.0.0.1', port: origin.port },
      url: undefined,
      userAgent: undefined,
      traceId: undefined,
      rule: 'default',
      wouldDeny: undefined,
      wouldAllow: undefined,
      limits: ['tunnels user'],
      route: { via: 'direct' },
      address: '127.0.0.1',
      status: 200,
      failure: undefined,
      detail: undefined,
      bytesUp: 14,
      bytesDown: 14,
      wire: record.wire,
      end: 'client',
      timings: {},
      state: undefined,
    });
    assert.match(jsonRecord(record), /"protocol":"line"/);
    assert.deepEqual(
      proxy.sessions.ended().map(({ id }) => id),
      proxy.records.map(({ id }) => id).toReversed(),
    );
  }),
);

test(
  'a client that is refused before it has sent a request is refused in the words of its protocol',
  leavesNothing(async () => {
    await using proxy = await ListeningProxy.start({ clients: { allow: ['192.0.2.0/24'] } }, lineProtocol);
    const { port } = proxy;
    using client = await rawClient(port);
    assert.equal(await client.until('\n'), 'NO denied\n');
    const { kind, protocol, status, failure } = await proxy.record();
    assert.deepEqual(
      { kind, protocol, status, failure },
      {
        kind: 'malformed',
        protocol: 'line',
        status: 403,
        failure: 'denied',
      },
    );
  }),
);

test(
  'without a free slot a client is rejected in its own protocol, and one that was there first is served',
  leavesNothing(async () => {
    await using origin = await echoing();
    await using proxy = await ListeningProxy.start({}, lineProtocol, { connectionsMax: 1 });
    const { port } = proxy;
    using first = await rawClient(port);
    first.send(`TUNNEL ${origin.authority}\n`);
    await first.until('OK\n');
    using second = await rawClient(port);
    assert.equal(await second.until('\n'), 'NO at_capacity\n');
  }),
);

for (const relay of RELAYS) {
  test(
    `a tunnel of any protocol can be listed while it runs, with its bytes of now, and ended with a reason (${relay})`,
    leavesNothing(async () => {
      await using origin = await echoing();
      await using proxy = await ListeningProxy.start({ relay }, lineProtocol);
      using client = await rawClient(proxy.port);
      client.send(`TUNNEL ${origin.authority}\n12345`);
      await client.until('OK\n12345');
      // The relay's thread counts bytes when it has sent them: the client may have them a moment earlier.
      await until(() => proxy.sessions.snapshot()[0]?.record.bytesDown === 5, 'its bytes are counted');
      const [live, ...others] = proxy.sessions.snapshot();
      assert.ok(live !== undefined);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [live.step, live.record.status, live.record.bytesUp, live.record.bytesDown],
        ['relay', 200, 5, 5],
      );
      assert.equal(proxy.sessions.end('another', 'for a test'), false);
      assert.equal(proxy.sessions.end(live.record.id, 'the operator has ended it'), true);
      assert.equal(await client.ended(), 'reset');
      const { end, failure, detail } = await proxy.record();
      assert.deepEqual([end, failure, detail], ['aborted', 'terminated', 'the operator has ended it']);
      assert.equal(proxy.sessions.size, 0);
    }),
  );
}

test('a request that waits for its origin is answered 503 when it is ended, and its connection serves the next', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await ListeningProxy.start({}, http1Protocol);
  using client = await rawClient(proxy.port);
  client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
  const peer = await origin.connection(0);
  await peer.until('\r\n\r\n');
  const [live] = proxy.sessions.snapshot();
  assert.ok(live !== undefined);
  assert.equal(live.step, 'wait');
  proxy.sessions.end(live.record.id, 'the operator has ended it');
  const refused = await client.until(/request r1\.\n/);
  assert.match(refused, /^HTTP\/1\.1 503 .*An administrator of this proxy has ended the request\./s);
  client.forget(client.bytesReceived);
  client.send('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
});

const serveEarly = async (proxy: ListeningProxy, text: string, at: number): Promise<RawPeer> => {
  const { wire, peer } = await wirePair();
  const client = { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' };
  const host = { admit: () => true, closed: () => undefined, spareFor: () => 0, adopt: () => undefined };
  http1Protocol(proxy.context).serve({
    wire,
    client,
    early: Buffer.from(text.slice(0, at)),
    place: new Place(),
    host,
  });
  if (at < text.length) peer.send(text.slice(at));
  return peer;
};

test('an HTTP/1 connection begins with bytes that were read already, wherever they are cut', async () => {
  await using proxy = await ListeningProxy.start({}, http1Protocol);
  const text = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n';
  for (let at = 0; at <= text.length; at++) {
    const peer = await serveEarly(proxy, text, at);
    assert.match(await peer.until('\r\n\r\n'), /^HTTP\/1\.1 200 OK\r\n/, `cut at ${at}`);
    await peer.ended();
    peer.socket.destroy();
  }
});

test('early bytes that are no HTTP are refused like any others', async () => {
  await using proxy = await ListeningProxy.start({}, http1Protocol);
  const peer = await serveEarly(proxy, '\x16\x03\x01', 3);
  assert.match(await peer.until('\r\n\r\n'), /^HTTP\/1\.1 400 /);
  peer.socket.destroy();
});
