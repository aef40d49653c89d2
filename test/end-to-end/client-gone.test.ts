/** Clients that leave behind a complete plain request: how long one is waited for, and what else has to be let go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { StartOptions } from '../../src/app/start.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import { hookPolicy } from '../../src/policy/hook.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { blackHole } from '../support/black-hole.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { until } from '../support/until.ts';

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);
const GONE_MS = 2_000;
const STEP_MS = 100;
/** Less than `timeouts.idle`; the bytes of the real sockets have seconds to arrive meanwhile. */
const PASS_MS_MAX = 30 * 60_000;

const GET = (to: string, more = '') => `GET http://${to}/ HTTP/1.1\r\nHost: ${to}\r\n${more}\r\n`;
const POST = (to: string) => `POST http://${to}/ HTTP/1.1\r\nHost: ${to}\r\nContent-Length: 4\r\n\r\nbody`;
const CHUNKED_POST = (to: string) =>
  `POST http://${to}/ HTTP/1.1\r\nHost: ${to}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n`;
const OFFER = 'Connection: Upgrade\r\nUpgrade: chat\r\n';

const EVENTS = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n';
const FIRST_EVENT = 'data: 1\n\n';
const IN_CHUNKS = `${EVENTS}Transfer-Encoding: chunked\r\n\r\n9\r\n${FIRST_EVENT}\r\n`;

/** What the origin has sent when the client leaves, and what the client has received of it. */
const SAID: readonly (readonly [what: string, said: string, request: (to: string) => string])[] = [
  ['a long poll', '', GET],
  ['a long poll with an offer to switch', '', (to) => GET(to, OFFER)],
  ['a POST', '', POST],
  ['a POST in chunks', '', CHUNKED_POST],
  ['an interim answer', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', GET],
  ['events in chunks', IN_CHUNKS, GET],
  ['events until the end of the connection', `${EVENTS}\r\n${FIRST_EVENT}`, GET],
  ['an answer of known length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', GET],
  ['an answer whose first byte does not come', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n', GET],
  ['an answer to a POST', IN_CHUNKS, POST],
];

/** Lets the time of the proxy pass in small steps, and the bytes of the real sockets between them. */
async function passUntil(clock: ManualClock, isTrue: () => boolean): Promise<void> {
  const untilMs = clock.now() + PASS_MS_MAX;
  while (!isTrue()) {
    assert.ok(clock.now() < untilMs, `nothing after ${PASS_MS_MAX} ms`);
    await clock.pass(STEP_MS);
    // Real sockets need real time between two steps of the clock.
    await wait(1);
  }
}

interface Setup {
  readonly clock: ManualClock;
  readonly origin: RawOrigin;
  readonly proxy: ProxyUnderTest;
  readonly client: RawPeer;
}

/** An origin that sends only what the test sends, on the clock of the test. */
const withSetup = (play: (setup: Setup) => Promise<void>, config: ConfigInput, options: StartOptions = {}) =>
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start(config, { clock, ...options });
    using client = await proxy.client();
    await play({ clock, origin, proxy, client });
  });

for (const relay of RELAYS) {
  for (const [what, said, request] of SAID) {
    test(
      `${what}: a client that has left is noticed after clientGone, and the origin with it (${relay})`,
      withSetup(
        async ({ clock, origin, proxy, client }) => {
          client.send(request(origin.authority));
          const asked = await origin.connection();
          await asked.until(/\r\n\r\n(?:body|4\r\nbody\r\n0\r\n\r\n)?$/);
          if (said !== '') {
            asked.send(said);
            await client.until(/HTTP\/1\.1 \d+ [\s\S]*\r\n\r\n/);
          }
          client[Symbol.dispose]();
          await passUntil(clock, () => proxy.records.length > 0);
          const { failure, durationMs } = await proxy.record();
          assert.equal(failure, 'client_gone');
          assert.ok(durationMs >= GONE_MS, `${durationMs} ms`);
          assert.notEqual(await asked.ended(), 'open');
        },
        { relay },
      ),
    );
  }

  test(
    `a client that has left is noticed while its target is dialled (${relay})`,
    leavesNothing(async () => {
      await using hole = await blackHole();
      await using proxy = await ProxyUnderTest.start({ relay, timeouts: { clientGone: '100ms' } });
      const client = await proxy.client();
      client.send(GET(`${hole.host}:${hole.port}`));
      await proxy.when(({ events }) => events.some(({ type }) => type === 'dialing'));
      client[Symbol.dispose]();
      assert.equal((await proxy.record()).failure, 'client_gone');
    }),
  );

  for (const [what, leaving] of [
    ['has left behind its body', 'body'],
    ['has left in the middle of its body', 'bo'],
    ['has left without a byte of its body', ''],
  ] as const) {
    test(
      `a client that ${what} is noticed while a name is looked up (${relay})`,
      withSetup(
        async ({ clock, proxy, client }) => {
          client.send(POST('name.test').replace(/body$/, ''));
          await proxy.when(({ events }) => events.some(({ type }) => type === 'routed'));
          client.send(leaving).end();
          await passUntil(clock, () => proxy.records.length > 0);
          assert.equal((await proxy.record()).failure, 'client_gone');
        },
        { relay },
        { lookup: () => new Promise(() => undefined) },
      ),
    );
  }

  test(
    `a client that resets in the middle of its body is noticed at once while a name is looked up (${relay})`,
    withSetup(
      async ({ proxy, client }) => {
        client.send(POST('name.test').replace(/dy$/, ''));
        await proxy.when(({ events }) => events.some(({ type }) => type === 'routed'));
        client.reset();
        assert.equal((await proxy.record()).failure, 'client_gone');
      },
      { relay },
      { lookup: () => new Promise(() => undefined) },
    ),
  );

  for (const [what, request] of [
    ['a request', GET('name.test')],
    ['a body', POST('name.test')],
    ['half a body', POST('name.test').replace(/dy$/, '')],
  ] as const) {
    test(
      `the signal of a hook that is deciding aborts when the client leaves behind ${what} (${relay})`,
      leavesNothing(async () => {
        const asked = Promise.withResolvers<AbortSignal>();
        const policy = hookPolicy(({ signal }) => {
          asked.resolve(signal);
          return new Promise(() => undefined);
        });
        const clock = new ManualClock();
        await using proxy = await ProxyUnderTest.start({ relay }, { clock, overrides: { policy } });
        using client = await proxy.client();
        client.send(request);
        const signal = await asked.promise;
        client.end();
        await passUntil(clock, () => signal.aborted);
        assert.equal((await proxy.record()).failure, 'client_gone');
      }),
    );
  }

  test(
    `a client that has left is noticed while a name is looked up (${relay})`,
    withSetup(
      async ({ clock, proxy, client }) => {
        client.send(GET('name.test'));
        await proxy.when(({ events }) => events.some(({ type }) => type === 'routed'));
        client[Symbol.dispose]();
        await passUntil(clock, () => proxy.records.length > 0);
        assert.equal((await proxy.record()).failure, 'client_gone');
      },
      { relay },
      { lookup: () => new Promise(() => undefined) },
    ),
  );

  test(
    `a client that has left is noticed while its answer waits for a bandwidth limit (${relay})`,
    withSetup(
      async ({ clock, origin, proxy, client }) => {
        client.send(GET(origin.authority));
        const asked = await origin.connection();
        await asked.until('\r\n\r\n');
        asked.send(`HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(10_000)}`);
        await client.until('\r\n\r\nx');
        client[Symbol.dispose]();
        await passUntil(clock, () => proxy.records.length > 0);
        const { failure, bytesDown } = await proxy.record();
        assert.equal(failure, 'client_gone');
        assert.ok(bytesDown < 10_000, `${bytesDown} bytes have passed`);
        assert.notEqual(await asked.ended(), 'open');
      },
      // A turn of 256 bytes takes four seconds.
      { relay, limits: { bandwidth: [{ per: 'tunnel', direction: 'down', rate: 64 }] } },
    ),
  );

  test(
    `what a client that has left sent ahead is not served (${relay})`,
    withSetup(
      async ({ clock, origin, proxy, client }) => {
        client.send(GET(origin.authority).repeat(3));
        const asked = await origin.connection();
        await asked.until('\r\n\r\n');
        client[Symbol.dispose]();
        await passUntil(clock, () => proxy.proxy.open === 0);
        assert.equal(proxy.records.length, 1);
        assert.equal(origin.connections.length, 1);
      },
      { relay },
    ),
  );

  test(
    `a client that has left is noticed behind an answer to an earlier request (${relay})`,
    withSetup(
      async ({ clock, origin, proxy, client }) => {
        client.send(GET(origin.authority).repeat(2)).end();
        const asked = await origin.connection();
        await asked.until('\r\n\r\n');
        asked.send(ok('one'));
        await client.until('one');
        await asked.until(/\r\n\r\nGET [\s\S]*\r\n\r\n/);
        await passUntil(clock, () => proxy.records.length > 1);
        assert.equal((await proxy.record(0)).failure, undefined);
        assert.equal((await proxy.record(1)).failure, 'client_gone');
      },
      { relay },
    ),
  );

  test(
    `a client that has only finished sending gets answers that come within clientGone, each in its turn (${relay})`,
    withSetup(
      async ({ clock, origin, client }) => {
        client.send(GET(origin.authority) + GET(origin.authority, 'Connection: close\r\n')).end();
        const asked = await origin.connection();
        for (const body of ['first', 'second']) {
          await asked.until('\r\n\r\n');
          await clock.pass(GONE_MS - STEP_MS);
          asked.forget(asked.received.length);
          asked.send(ok(body));
          await client.until(body);
        }
        assert.equal(await client.ended(), 'fin');
      },
      { relay },
    ),
  );

  test(
    `a client that has only finished sending gets a long answer that never stops for clientGone (${relay})`,
    withSetup(
      async ({ clock, origin, proxy, client }) => {
        client.send(GET(origin.authority)).end();
        const asked = await origin.connection();
        await asked.until('\r\n\r\n');
        await clock.pass(GONE_MS - STEP_MS);
        asked.send(`${EVENTS}Content-Length: 9\r\n\r\n`);
        await client.until('\r\n\r\n');
        for (let at = 1; at < 10; at++) {
          await clock.pass(GONE_MS - STEP_MS);
          asked.send(String(at));
          await client.until(new RegExp(`${at}$`));
        }
        assert.equal((await proxy.record()).failure, undefined);
        assert.equal(await client.ended(), 'fin');
      },
      { relay },
    ),
  );

  test(
    `a client of HTTP/1.0 that still reads sees that its answer is cut (${relay})`,
    withSetup(
      async ({ clock, origin, proxy, client }) => {
        client.send(`GET http://${origin.authority}/ HTTP/1.0\r\n\r\n`);
        const asked = await origin.connection();
        await asked.until('\r\n\r\n');
        asked.send(IN_CHUNKS);
        await client.until(FIRST_EVENT);
        client.end();
        await passUntil(clock, () => proxy.records.length > 0);
        assert.equal(await client.ended(), 'reset');
      },
      { relay },
    ),
  );

  test(
    `a client that has left is noticed at once when a write to it fails (${relay})`,
    withSetup(
      async ({ origin, proxy, client }) => {
        client.send(GET(origin.authority));
        const asked = await origin.connection();
        await asked.until('\r\n\r\n');
        asked.send(IN_CHUNKS);
        await client.until(FIRST_EVENT);
        client[Symbol.dispose]();
        // The time of the proxy stands still.
        const wrote = (): boolean => {
          asked.send(`9\r\n${FIRST_EVENT}\r\n`);
          return proxy.records.length > 0;
        };
        await until(wrote, 'a write to the client fails');
        assert.equal((await proxy.record()).failure, 'client_gone');
        assert.notEqual(await asked.ended(), 'open');
      },
      { relay },
    ),
  );

  for (const [what, said, request] of SAID) {
    test(
      `${what}: with clientGone 0 an end of the client is the end of its request at once (${relay})`,
      withSetup(
        async ({ origin, proxy, client }) => {
          client.send(request(origin.authority));
          const asked = await origin.connection();
          await asked.until(/\r\n\r\n(?:body|4\r\nbody\r\n0\r\n\r\n)?$/);
          if (said !== '') {
            asked.send(said);
            await client.until(/HTTP\/1\.1 \d+ [\s\S]*\r\n\r\n/);
          }
          client.end();
          assert.equal((await proxy.record()).failure, 'client_gone');
          assert.notEqual(await client.ended(), 'open');
          assert.notEqual(await asked.ended(), 'open');
        },
        { relay, timeouts: { clientGone: 0 } },
      ),
    );
  }

  for (const [what, request, answer] of [
    ['a tunnel', (to: string) => `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\nhello`, ''],
    [
      'a connection that was upgraded by 101',
      (to: string) => GET(to, OFFER),
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n',
    ],
  ] as const) {
    test(
      `${what} has linger, not clientGone, once its client has ended (${relay})`,
      withSetup(
        async ({ clock, origin, proxy, client }) => {
          client.send(request(origin.authority));
          const opened = await origin.connection();
          if (answer !== '') {
            await opened.until('\r\n\r\n');
            opened.send(answer);
          }
          await client.until('\r\n\r\n');
          client.end();
          await opened.when(({ ending }) => ending === 'fin', 'the end of the client');
          await clock.pass(25_000);
          opened.send('late').end();
          await client.until('late');
          assert.equal((await proxy.record()).failure, undefined);
        },
        { relay, timeouts: { clientGone: '1s', linger: '30s' } },
      ),
    );
  }
}

test(
  'the end of a client between two requests closes its connection at once, and makes no record',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('page')));
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(GET(origin.authority));
    await client.until('page');
    client.end();
    assert.equal(await client.ended(), 'fin');
    assert.equal((await proxy.record()).failure, undefined);
    assert.equal(proxy.records.length, 1);
  }),
);
