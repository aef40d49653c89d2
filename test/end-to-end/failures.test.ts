/** Every kind of failure of a destination, each by a destination that really fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAILURES, type FailureCode } from '../../src/contracts/failure.ts';
import { blackHole } from '../support/black-hole.ts';
import { type DnsResponse, dnsServer } from '../support/dns-server.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';

type Kind = 'CONNECT' | 'GET';

const request = (kind: Kind, authority: string): string =>
  kind === 'CONNECT' ? connectTo(authority) : `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;

/** Sends one request and checks the refusal, field by field, and the record. */
async function refused(proxy: ProxyUnderTest, kind: Kind, authority: string, code: FailureCode, token: string) {
  using client = await proxy.client();
  client.send(request(kind, authority));
  const { status, clientMessage } = FAILURES[code];
  const text = await client.until(new RegExp(`\\r\\n\\r\\n[\\s\\S]*${code}[\\s\\S]*\\.\\n$`));
  assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
  assert.match(text, new RegExp(`^Proxy-Status: viaduct; error=${token}\\r$`, 'm'));
  assert.match(text, /^Via: 1\.1 viaduct-[0-9a-f]{12}\r$/m);
  assert.match(text, /^Content-Type: text\/plain; charset=utf-8\r$/m);
  const record = await proxy.record();
  assert.ok(text.includes(`${clientMessage}`), text);
  assert.ok(text.includes(`request ${record.id}.`), text);
  assert.deepEqual([record.failure, record.status], [code, status]);
  if (kind === 'CONNECT') assert.equal(await client.ended(), 'fin');
}

const NAMES: readonly (readonly [what: string, saying: DnsResponse, code: FailureCode, token: string])[] = [
  ['does not exist', { code: 3 }, 'dns_failed', 'dns_error'],
  ['the name server fails for', { code: 2 }, 'dns_failed', 'dns_error'],
  ['the name server refuses to tell', { code: 5 }, 'dns_failed', 'dns_error'],
  ['no server answers for', 'nothing', 'dns_timeout', 'dns_timeout'],
];

for (const kind of ['CONNECT', 'GET'] as const) {
  for (const [what, saying, code, token] of NAMES) {
    test(
      `${kind}: a name that ${what} is ${code}`,
      leavesNothing(async () => {
        await using dns = await dnsServer(saying);
        await using proxy = await ProxyUnderTest.start({ timeouts: { connect: '300ms' } }, { lookup: dns.lookup });
        await refused(proxy, kind, 'name.test:8080', code, token);
      }),
    );
  }

  test(
    `${kind}: a port on which no program listens is refused`,
    leavesNothing(async () => {
      await using proxy = await ProxyUnderTest.start();
      await refused(proxy, kind, '127.0.0.1:1', 'connection_refused', 'connection_refused');
    }),
  );

  test(
    `${kind}: an address without a route is host_unreachable`,
    leavesNothing(async () => {
      await using proxy = await ProxyUnderTest.start();
      // The kernel refuses to connect to a broadcast address before it sends anything.
      await refused(proxy, kind, '255.255.255.255:80', 'host_unreachable', 'destination_ip_unroutable');
    }),
  );

  test(
    `${kind}: an address that does not answer is connect_timeout`,
    leavesNothing(async () => {
      await using hole = await blackHole();
      await using proxy = await ProxyUnderTest.start({ timeouts: { connect: '200ms' } });
      await refused(proxy, kind, `${hole.host}:${hole.port}`, 'connect_timeout', 'connection_timeout');
    }),
  );
}

const GET_BEGINS = (peer: RawPeer, then: () => void) => peer.socket.once('data', then);

const ANSWERS: readonly (readonly [what: string, serve: (peer: RawPeer) => void, code: FailureCode, token: string])[] =
  [
    [
      'resets before its answer',
      (peer) => GET_BEGINS(peer, () => peer.reset()),
      'reset_before_head',
      'connection_terminated',
    ],
    [
      'ends before its answer',
      (peer) => GET_BEGINS(peer, () => peer.end()),
      'reset_before_head',
      'connection_terminated',
    ],
    [
      'breaks off inside its head',
      (peer) => GET_BEGINS(peer, () => peer.send('HTTP/1.1 200 OK\r\nX-').end()),
      'origin_protocol',
      'http_protocol_error',
    ],
    [
      'sends a broken status line',
      (peer) => GET_BEGINS(peer, () => peer.send('HTTP/1.1 twohundred\r\n\r\n')),
      'origin_protocol',
      'http_protocol_error',
    ],
    [
      'greets in another protocol',
      (peer) => peer.send('220 mail.test ESMTP\r\n'),
      'origin_protocol',
      'http_protocol_error',
    ],
    [
      'sends two lengths',
      (peer) =>
        GET_BEGINS(peer, () => peer.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab')),
      'origin_protocol',
      'http_protocol_error',
    ],
    [
      'sends a head without an end',
      (peer) => GET_BEGINS(peer, () => peer.send(`HTTP/1.1 200 OK\r\n${`X-A: ${'a'.repeat(1000)}\r\n`.repeat(100)}`)),
      'origin_head_too_large',
      'http_response_header_section_size',
    ],
    [
      'sends too many fields',
      (peer) => GET_BEGINS(peer, () => peer.send(`HTTP/1.1 200 OK\r\n${'A: 1\r\n'.repeat(501)}\r\n`)),
      'origin_head_too_large',
      'http_response_header_section_size',
    ],
    [
      'switches to a protocol that the client did not offer',
      (peer) => GET_BEGINS(peer, () => peer.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n')),
      'origin_upgrade',
      'http_upgrade_failed',
    ],
    [
      'sends interim answers without an end',
      (peer) => GET_BEGINS(peer, () => peer.send('HTTP/1.1 100 Continue\r\n\r\n'.repeat(40))),
      'origin_protocol',
      'http_protocol_error',
    ],
    ['says nothing', () => undefined, 'origin_timeout', 'http_response_timeout'],
  ];

for (const [what, serve, code, token] of ANSWERS) {
  test(
    `GET: an origin that ${what} is ${code}`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(serve);
      await using proxy = await ProxyUnderTest.start({ timeouts: { head: '200ms' } });
      if (code === 'origin_protocol' && what.includes('interim')) return await refusedAfterInterim(proxy, origin);
      await refused(proxy, 'GET', origin.authority, code, token);
    }),
  );
}

async function refusedAfterInterim(proxy: ProxyUnderTest, origin: RawOrigin): Promise<void> {
  using client = await proxy.client();
  client.send(request('GET', origin.authority));
  await client.until('HTTP/1.1 502 Bad Gateway\r\n');
  assert.equal((await proxy.record()).failure, 'origin_protocol');
}

/** The end comes in a packet of its own, some time after the bytes before it: a reset would drop them otherwise. */
const BEHIND_MS = 20;
const TRUNCATED: readonly (readonly [what: string, answer: string])[] = [
  ['short of its length', 'Content-Length: 10\r\n\r\nhello'],
  ['in the middle of a chunk', 'Transfer-Encoding: chunked\r\n\r\na\r\nhello'],
  ['before the last chunk', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
];
for (const [what, answer] of TRUNCATED) {
  for (const how of ['end', 'reset'] as const) {
    test(
      `GET: an answer that breaks off ${what} (${how}) is cut, and the record says why`,
      leavesNothing(async () => {
        await using origin = await RawOrigin.listen((peer) =>
          GET_BEGINS(peer, () => {
            peer.send(`HTTP/1.1 200 OK\r\n${answer}`);
            setTimeout(() => peer[how](), BEHIND_MS);
          }),
        );
        await using proxy = await ProxyUnderTest.start();
        using client = await proxy.client();
        client.send(request('GET', origin.authority));
        await client.ended();
        assert.match(client.text, /hello(\r\n)?$/);
        const { failure, status, bytesDown } = await proxy.record();
        assert.deepEqual([failure, status, bytesDown], ['response_incomplete', 200, 5]);
      }),
    );
  }
}

test(
  'GET: an answer until the end that is reset is a reset for the client too, with HTTP/1.0 and HTTP/1.1',
  leavesNothing(async () => {
    for (const version of ['1.0', '1.1']) {
      await using origin = await RawOrigin.listen((peer) =>
        GET_BEGINS(peer, () => {
          peer.send('HTTP/1.1 200 OK\r\n\r\nhello');
          setTimeout(() => peer.reset(), BEHIND_MS);
        }),
      );
      await using proxy = await ProxyUnderTest.start();
      using client = await proxy.client();
      client.send(`GET http://${origin.authority}/ HTTP/${version}\r\nHost: x\r\n\r\n`);
      const ending = await client.ended();
      if (version === '1.0') assert.equal(ending, 'reset');
      assert.doesNotMatch(client.text, /0\r\n\r\n$/);
      assert.equal((await proxy.record()).failure, 'response_incomplete');
    }
  }),
);

test(
  'GET: an answer that stands still is cut after idle',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) =>
      GET_BEGINS(peer, () => peer.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')),
    );
    await using proxy = await ProxyUnderTest.start({ timeouts: { idle: '200ms' } });
    using client = await proxy.client();
    client.send(request('GET', origin.authority));
    await client.ended();
    assert.equal((await proxy.record()).failure, 'origin_timeout');
  }),
);
