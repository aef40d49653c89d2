/** Clients that have ended before their answer: gone, or only done with sending. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { blackHole } from '../support/black-hole.ts';
import { leavesNothing, sockets } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { RawPeer, rawClient } from '../support/raw-client.ts';
import { until } from '../support/until.ts';

const REQUESTS_MAX = 32;
const BEYOND = 8;

const RELAYS = ['auto', 'portable'] as const;
type Request = (authority: string) => string;
const REQUESTS: readonly (readonly [what: string, request: Request])[] = [
  ['CONNECT and a byte', (to) => `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\nx`],
  ['GET', (to) => `GET http://${to}/ HTTP/1.1\r\nHost: ${to}\r\n\r\n`],
  ['POST with its body', (to) => `POST http://${to}/ HTTP/1.1\r\nHost: ${to}\r\nContent-Length: 4\r\n\r\nbody`],
];
/** They would be given up one by one before they are too many, on a busy machine. */
const PATIENT = { clientGone: '1h' };
const MUCH = 'x'.repeat(200_000);

for (const relay of RELAYS) {
  for (const [what, request, leave] of [
    ...REQUESTS.map((one) => [...one, (client: RawPeer) => void client.end()] as const),
    [
      'CONNECT with more ahead than is read, then a close',
      (to: string) => `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n${MUCH}`,
      (client: RawPeer) => void client.end(),
    ],
    [
      'CONNECT with more ahead than is read, then a reset',
      (to: string) => `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n${MUCH}`,
      (client: RawPeer) => client.reset(),
    ],
  ] as const) {
    test(
      `${what}: of a client that has ended ${REQUESTS_MAX} requests go on waiting, and the oldest beyond are given up (${relay})`,
      leavesNothing(async () => {
        await using hole = await blackHole();
        await using proxy = await ProxyUnderTest.start({ relay, timeouts: PATIENT });
        // It has not ended, so it is not among them.
        using patient = await proxy.client();
        patient.send(request(`${hole.host}:${hole.port}`).replace(/x+$/, ''));
        await proxy.when(({ events }) => events.some(({ type }) => type === 'dialing'));
        const before = sockets();
        const clients: RawPeer[] = [];
        for (let at = 0; at < REQUESTS_MAX + BEYOND; at++) {
          const client = await proxy.client();
          client.send(request(`${hole.host}:${hole.port}`));
          leave(client);
          clients.push(client);
        }
        await proxy.when(({ records }) => records.length >= BEYOND);
        // A request that was given up is open until its response is sent. Each of the others has two sockets in this
        // process, and its client one.
        for (const client of clients.slice(0, BEYOND)) client[Symbol.dispose]();
        await until(
          () => proxy.proxy.open <= REQUESTS_MAX + 1 && sockets() <= before + 3 * REQUESTS_MAX,
          'the oldest requests and their sockets are gone',
        );
        // A reset may be noticed before so much has been read that nothing behind it is.
        const expected = what.endsWith('reset') ? /^(at_capacity|client_gone)$/ : /^at_capacity$/;
        for (const { failure = '' } of proxy.records) assert.match(failure, expected);
        if (!what.endsWith('reset')) assert.equal(proxy.proxy.open, REQUESTS_MAX + 1);
        for (const client of clients) client[Symbol.dispose]();
      }),
    );
  }

  for (const [what, request] of REQUESTS) {
    test(
      `${what}: a client that resets while its target is dialled is noticed at once (${relay})`,
      leavesNothing(async () => {
        await using hole = await blackHole();
        await using proxy = await ProxyUnderTest.start({ relay });
        using client = await proxy.client();
        client.send(request(`${hole.host}:${hole.port}`));
        await proxy.when(({ events }) => events.some(({ type }) => type === 'dialing'));
        client.reset();
        assert.equal((await proxy.record()).failure, 'client_gone');
      }),
    );
  }
}

test(
  'a client that is given up and still reads gets the reason',
  leavesNothing(async () => {
    await using hole = await blackHole();
    await using proxy = await ProxyUnderTest.start();
    const clients: RawPeer[] = [];
    for (let at = 0; at <= REQUESTS_MAX; at++) {
      const client = await proxy.client();
      clients.push(client.send(`CONNECT ${hole.host}:${hole.port} HTTP/1.1\r\nHost: x\r\n\r\nx`).end());
    }
    await proxy.record();
    const response = await Promise.race(clients.map((client) => client.until('\r\n\r\n')));
    assert.match(response, /^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: 1\r\n/);
    for (const client of clients) client[Symbol.dispose]();
  }),
);

test(
  'names of clients that have ended are given up with their requests',
  leavesNothing(async () => {
    const never = Promise.withResolvers<readonly string[]>();
    await using proxy = await ProxyUnderTest.start({}, { lookup: () => never.promise });
    const clients: RawPeer[] = [];
    for (let at = 0; at < REQUESTS_MAX + BEYOND; at++) {
      const client = await proxy.client();
      clients.push(client.send(`CONNECT n${at}.test:443 HTTP/1.1\r\nHost: x\r\n\r\nx`).end());
    }
    await proxy.when(({ records }) => records.length >= BEYOND);
    // A request is open until its client has taken the response, which its record does not wait for.
    await until(() => proxy.proxy.open === REQUESTS_MAX, 'only so many requests are open');
    for (const client of clients) client[Symbol.dispose]();
  }),
);

test(
  'the requests of one client that has ended say nothing about those of another',
  leavesNothing(async () => {
    await using hole = await blackHole();
    await using proxy = await ProxyUnderTest.start({ listen: 'http://127.0.0.1:0' });
    const clients: RawPeer[] = [];
    for (const from of ['127.0.0.1', '127.0.0.2']) {
      for (let at = 0; at < REQUESTS_MAX; at++) {
        const socket = connect({ port: proxy.port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true });
        await once(socket, 'connect');
        const client = new RawPeer(socket);
        clients.push(client.send(`CONNECT ${hole.host}:${hole.port} HTTP/1.1\r\nHost: x\r\n\r\nx`).end());
      }
    }
    using last = await rawClient(proxy.port);
    last.send(`CONNECT ${hole.host}:${hole.port} HTTP/1.1\r\nHost: x\r\n\r\nx`).end();
    assert.equal((await proxy.record()).client.address, '127.0.0.1');
    assert.equal(proxy.proxy.open, 2 * REQUESTS_MAX);
    for (const client of clients) client[Symbol.dispose]();
  }),
);

test(
  'answers and tunnels that have begun are not counted, however many clients have ended behind their request',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) => {
      peer.socket.once('data', () => peer.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf'));
    });
    await using proxy = await ProxyUnderTest.start({ timeouts: PATIENT });
    const clients: RawPeer[] = [];
    const requests = [
      `GET http://${origin.authority}/ HTTP/1.1\r\nHost: x\r\n\r\n`,
      `CONNECT ${origin.authority} HTTP/1.1\r\nHost: x\r\n\r\nx`,
    ];
    for (let at = 0; at < 2 * (REQUESTS_MAX + BEYOND); at++) {
      const client = await proxy.client();
      clients.push(client.send(requests[at % 2] ?? '').end());
      await client.until('half');
    }
    for (const peer of origin.connections) peer.send('full').end();
    for (const client of clients) {
      await client.until('halffull');
      await client.ended();
    }
    assert.deepEqual(new Set(proxy.records.map(({ failure }) => failure)), new Set([undefined]));
  }),
);
