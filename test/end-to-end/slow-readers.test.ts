/** Clients that fall behind with reading: how long they are waited for, and that they get every answer in the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { untilSteady } from '../support/steady.ts';

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);
/** More answers than the kernel keeps for a client. */
const REQUESTS = 2_000;
const LONG = 'x'.repeat(15_000);
const ALL_MS_MAX = 60_000;
const MIB = 1_048_576;

const traced = (at: number, last: number): string => {
  const connection = at === last ? 'Connection: close\r\n' : '';
  return `TRACE http://a.test/${at} HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\nX-Long: ${LONG}\r\n${connection}\r\n`;
};
const inOrder = Array.from({ length: REQUESTS }, (_, at) => at);
/** All of them; behind `last` the connection closes. */
const pipelined = (last: number = REQUESTS - 1): string => inOrder.map((at) => traced(at, last)).join('');

/** Which requests were answered in full, in the order of their answers. */
const answers = ({ text }: RawPeer): number[] =>
  text
    .split('TRACE http://a.test/')
    .slice(1)
    .filter((answer) => answer.includes(`\r\nX-Long: ${LONG}\r\n`))
    .map((answer) => Number.parseInt(answer, 10));

/** Longer than the origin of the test may be silent. */
const SILENT_MS = 500;

/** Resolves once a number has stopped changing. */
const settled = (measure: () => number): Promise<number> => untilSteady(measure, 200, 'what is taken and answered');

/** A client that has sent as many of its requests as the kernels and the proxy take, and reads nothing. */
async function silentReader(proxy: ProxyUnderTest, requests: string): Promise<RawPeer> {
  const client = await proxy.client();
  client.socket.pause();
  client.send(requests);
  await settled(() => proxy.records.length + client.socket.bytesWritten);
  return client;
}

/** Reads at least `bytes` more, and little beyond that. */
async function readSome(client: RawPeer, bytes: number): Promise<void> {
  const until = client.bytesReceived + bytes;
  client.socket.resume();
  await client.when(({ bytesReceived, socket }) => {
    if (bytesReceived >= until) socket.pause();
    return bytesReceived >= until;
  });
}

const EARLY = `HTTP/1.1 103 Early Hints\r\n${`Link: ${LONG}\r\n`.repeat(4)}\r\n`;
const EARLIES = 32;
/** Answers each request with 2 MB of interim answers first. */
const hinting = () =>
  RawOrigin.listen(answering(() => `${EARLY.repeat(EARLIES)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\r\n`));
const HINTED = 20;

for (const relay of RELAYS) {
  test(
    `a client that reads nothing is not served further, and gets every response in order once it reads (${relay})`,
    leavesNothing(async () => {
      await using proxy = await ProxyUnderTest.start({ relay });
      using client = await silentReader(proxy, pipelined());
      const served = proxy.records.length;
      assert.ok(served < REQUESTS, `${served} requests were served`);
      client.socket.resume();
      assert.equal(await client.ended(ALL_MS_MAX), 'fin');
      assert.deepEqual(answers(client), inOrder);
    }),
  );

  test(
    `a client that has sent all and its FIN, and reads late, gets every answer and then the end (${relay})`,
    leavesNothing(async () => {
      await using proxy = await ProxyUnderTest.start({ relay });
      using client = await silentReader(proxy, pipelined(REQUESTS));
      client.end().socket.resume();
      assert.equal(await client.ended(ALL_MS_MAX), 'fin');
      assert.deepEqual(answers(client), inOrder);
    }),
  );

  test(
    `a client that reads nothing for requestBody is closed with a reset, and not before (${relay})`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using proxy = await ProxyUnderTest.start({ relay, timeouts: { requestBody: '60s' } }, { clock });
      using client = await silentReader(proxy, pipelined());
      await clock.pass(55_000);
      assert.equal(proxy.proxy.open, 1);
      await clock.pass(15_000);
      assert.equal(proxy.proxy.open, 0);
      client.socket.resume();
      assert.equal(await client.ended(), 'reset');
    }),
  );

  test(
    `a client that reads a little now and then is waited for (${relay})`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using proxy = await ProxyUnderTest.start({ relay, timeouts: { requestBody: '60s' } }, { clock });
      using client = await silentReader(proxy, pipelined());
      for (let time = 0; time < 3; time++) {
        const served = proxy.records.length;
        // The kernel lets the proxy write again when about a third of what it keeps has gone.
        while (proxy.records.length === served) {
          await readSome(client, MIB);
          await settled(() => proxy.records.length);
        }
        await clock.pass(50_000);
      }
      client.socket.resume();
      assert.equal(await client.ended(ALL_MS_MAX), 'fin');
      assert.deepEqual(answers(client), inOrder);
    }),
  );

  test(
    `the last answer of a connection is waited for no longer than the others (${relay})`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using proxy = await ProxyUnderTest.start({ relay, timeouts: { requestBody: '60s', idle: 0 } }, { clock });
      // The response that the kernel has no space for is made the last one.
      const full = await silentReader(proxy, pipelined());
      const last = proxy.records.length - 1;
      full[Symbol.dispose]();
      using client = await silentReader(proxy, pipelined(last));
      assert.equal(proxy.proxy.open, 1);
      await clock.pass(70_000);
      assert.equal(proxy.proxy.open, 0);
      client.socket.resume();
      assert.equal(await client.ended(), 'reset');
    }),
  );

  test(
    `interim answers wait with the origin while a client reads nothing, and the origin is not called silent (${relay})`,
    leavesNothing(async () => {
      await using origin = await hinting();
      await using proxy = await ProxyUnderTest.start({ relay, timeouts: { head: '400ms' } });
      const request = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: x\r\n\r\n`;
      using client = await silentReader(proxy, request.repeat(HINTED));
      assert.ok(proxy.records.length < HINTED, `${proxy.records.length} requests were served`);
      // Nothing may happen meanwhile.
      await wait(SILENT_MS);
      client.end().socket.resume();
      assert.equal(await client.ended(ALL_MS_MAX), 'fin');
      const statuses = [...client.text.matchAll(/^HTTP\/1\.1 (\d+) /gm)].map(([, status]) => status);
      const each = [...Array.from({ length: EARLIES }, () => '103'), '200'];
      assert.deepEqual(statuses, Array.from({ length: HINTED }, () => each).flat());
    }),
  );

  test(
    `a client that leaves interim answers unread is closed, and its record says so (${relay})`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using origin = await hinting();
      await using proxy = await ProxyUnderTest.start({ relay, timeouts: { requestBody: '60s' } }, { clock });
      const request = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: x\r\n\r\n`;
      using client = await silentReader(proxy, request.repeat(HINTED));
      await clock.pass(70_000);
      client.socket.resume();
      assert.equal(await client.ended(), 'reset');
      assert.equal(proxy.proxy.open, 0);
      assert.equal(proxy.records.at(-1)?.failure, 'client_too_slow');
      await (await origin.connection()).ended();
    }),
  );
}
