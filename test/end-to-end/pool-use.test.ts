/** How many connections to an origin the requests of one user take. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { messagesIn } from '../support/http-messages.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);

type Method = 'GET' | 'HEAD' | 'POST';

/** Sends one request after the other, each when the one before is answered. */
async function ask(client: RawPeer, authority: string, methods: readonly Method[]): Promise<void> {
  for (const method of methods) {
    client.forget(client.bytesReceived);
    const body = method === 'POST' ? 'Content-Length: 4\r\n\r\nbody' : '\r\n';
    client.send(`${method} http://${authority}/ HTTP/1.1\r\nHost: x\r\n${body}`);
    await client.when(
      ({ received }) => messagesIn(received, { kind: 'response', methods: [method] })[0]?.complete === true,
      `answer to ${method}`,
    );
  }
}

/** An origin that answers HEAD as it should. */
const origin = () =>
  RawOrigin.listen((peer) => {
    peer.socket.on('data', () => {
      const requests = messagesIn(peer.received, { kind: 'request' }).filter(({ complete }) => complete);
      for (const { startLine } of requests) {
        peer.send(startLine.startsWith('HEAD') ? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n' : ok('ok'));
      }
      peer.forget(peer.bytesReceived);
    });
    peer.socket.on('end', () => peer.end());
  });

const times = (count: number, ...methods: Method[]): Method[] => Array.from({ length: count }, () => methods).flat();

const CASES: readonly (readonly [what: string, clients: number, methods: readonly Method[], most: number])[] = [
  ['1,000 GET, one after the other', 1, times(1_000, 'GET'), 1],
  ['1,000 GET of ten at a time', 10, times(100, 'GET'), 10],
  // Each waits a moment for the origin to be quiet behind the one before.
  ['100 HEAD, one after the other', 1, times(100, 'HEAD'), 1],
  // A request that cannot be sent twice has a connection of its own, which then serves other requests.
  ['50 POST, and a GET behind each', 1, times(50, 'POST', 'GET'), 50],
];

for (const relay of RELAYS) {
  for (const [what, clients, methods, most] of CASES) {
    test(
      `${what}: ${most} connections at most (${relay})`,
      leavesNothing(async () => {
        await using web = await origin();
        await using proxy = await ProxyUnderTest.start({ relay });
        const all = await Promise.all(Array.from({ length: clients }, () => proxy.client()));
        await Promise.all(all.map((client) => ask(client, web.authority, methods)));
        for (const client of all) client[Symbol.dispose]();
        assert.ok(web.connections.length <= most, `${web.connections.length} connections`);
      }),
    );
  }
}
