/** Origins that fall silent in the middle of an answer: how long they are waited for, and what is not their silence. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { untilSteady } from '../support/steady.ts';

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);
const MINUTE_MS = 60_000;
/** A silence is measured from look to look. */
const LATE_MS = MINUTE_MS;

const HEAD = 'HTTP/1.1 200 OK\r\n';
const SIZED = `${HEAD}Content-Length: 10\r\n\r\n`;
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;
const UNTIL_CLOSE = `${HEAD}\r\n`;
const MIB = 1_048_576;

interface Setup {
  readonly clock: ManualClock;
  readonly asked: RawPeer;
  readonly proxy: ProxyUnderTest;
  readonly client: RawPeer;
}

/** A client whose request has reached its origin. */
const withSetup = (config: ConfigInput, play: (setup: Setup) => Promise<void>) =>
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start(config, { clock });
    using client = await proxy.client();
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const asked = await origin.connection();
    await asked.until('\r\n\r\n');
    await play({ clock, asked, proxy, client });
  });

for (const relay of RELAYS) {
  for (const [what, said, config, limitMs] of [
    ['in the middle of an answer of known length', `${SIZED}half`, {}, 5 * MINUTE_MS],
    ['behind the head of an answer of known length', SIZED, {}, 5 * MINUTE_MS],
    ['in such an answer, with body: 1m', `${SIZED}half`, { body: '1m' }, MINUTE_MS],
    ['in such an answer, with a body beyond idle', `${SIZED}half`, { idle: '1m', body: '10m' }, 10 * MINUTE_MS],
    ['in such an answer, where only idle is shorter', `${SIZED}half`, { idle: '1m' }, MINUTE_MS],
    ['in such an answer, with idle: 0', `${SIZED}half`, { idle: 0 }, 5 * MINUTE_MS],
    ['in an answer in chunks', `${CHUNKED}4\r\nhalf\r\n`, {}, 60 * MINUTE_MS],
    ['in an answer in chunks, with body: 1m', `${CHUNKED}4\r\nhalf\r\n`, { body: '1m', idle: '10m' }, 10 * MINUTE_MS],
    ['in an answer until the end of the connection', `${UNTIL_CLOSE}half`, {}, 60 * MINUTE_MS],
  ] as const) {
    test(
      `an origin that is silent ${what}, is waited for ${limitMs / MINUTE_MS} min (${relay})`,
      withSetup({ relay, timeouts: config }, async ({ clock, asked, proxy, client }) => {
        asked.send(said);
        await client.until(said.endsWith('\n\r\n') ? '\r\n\r\n' : 'half');
        await clock.pass(limitMs - MINUTE_MS / 2);
        assert.equal(proxy.records.length, 0);
        await clock.pass(MINUTE_MS / 2 + LATE_MS + limitMs / 8);
        const { failure, status } = await proxy.record();
        assert.deepEqual({ failure, status }, { failure: 'origin_timeout', status: 200 });
        assert.notEqual(await client.ended(), 'open');
        assert.notEqual(await asked.ended(), 'open');
      }),
    );
  }

  test(
    `an origin that sends something now and then is waited for (${relay})`,
    withSetup({ relay }, async ({ clock, asked, proxy, client }) => {
      asked.send(SIZED);
      for (let at = 0; at < 10; at++) {
        await client.until(at === 0 ? '\r\n\r\n' : new RegExp(`${at - 1}$`));
        await clock.pass(4 * MINUTE_MS);
        asked.send(String(at));
      }
      assert.equal((await proxy.record()).failure, undefined);
    }),
  );

  test(
    `with body: 0 an origin may be silent for ever (${relay})`,
    withSetup({ relay, timeouts: { body: 0 } }, async ({ clock, asked, proxy, client }) => {
      asked.send(`${SIZED}half`);
      await client.until('half');
      await clock.pass(24 * 60 * MINUTE_MS);
      asked.send(' more.');
      await client.until('half more.');
      assert.equal((await proxy.record()).failure, undefined);
    }),
  );

  test(
    `a client that reads nothing for longer than body gets all once it reads (${relay})`,
    withSetup({ relay }, async ({ clock, asked, proxy, client }) => {
      const bytes = 32 * MIB;
      client.socket.pause();
      asked.send(`${HEAD}Content-Length: ${bytes}\r\n\r\n`).send(Buffer.alloc(bytes));
      // Until neither the kernel nor the proxy takes more of it.
      assert.ok((await untilSteady(() => asked.socket.writableLength, 200, 'what the origin can send is sent')) > 0);
      await clock.pass(30 * MINUTE_MS);
      client.socket.resume();
      await client.when(({ bytesReceived }) => bytesReceived > bytes, 'the whole body', MINUTE_MS);
      assert.equal((await proxy.record()).failure, undefined);
    }),
  );
}

test('a body time that is given is taken as it is, and the usual one is never longer than idle', () => {
  const of = (timeouts: NonNullable<ConfigInput['timeouts']>) => resolveOptions({ timeouts }).timeouts.bodyMs;
  assert.deepEqual(
    [of({}), of({ idle: '1m' }), of({ idle: 0 }), of({ idle: '1m', body: '2m' }), of({ body: 0 })],
    [300_000, 60_000, 300_000, 120_000, 0],
  );
});
