/** Many sessions, opened, metered and closed by a filter. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type ProxyRecord, startProxy } from '../../src/index.ts';
import { isLong, MB } from '../support/bulk.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { until } from '../support/until.ts';

/** The long form opens so many that each takes part in twenty closings. */
const SESSIONS = isLong ? 10_000 : 600;
/** At once: each costs four descriptors of this process. */
const BATCH = isLong ? 2_000 : 300;

/**
 * Above what is left behind the first batch: 500 records that the proxy keeps, and code that V8 compiles meanwhile. In the
 * long form a session that left 250 bytes would be found.
 */
const GROWTH_MAX = 2 * MB;

/** Bytes of the heap that are in use, once what can be collected is gone. */
async function heapBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  for (let round = 0; round < 3; round++) {
    await nextTurn();
    collect();
  }
  return process.memoryUsage().heapUsed;
}

test(
  `${SESSIONS} sessions are metered exactly, closed by a filter, and leave nothing`,
  { timeout: isLong ? 300_000 : 60_000 },
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    let connections = 0;
    let closed = 0;
    const totals = { up: 0, down: 0, wire: 0, byReason: 0 };
    await using proxy = await startProxy({
      authenticate: ({ username }) => ({ id: username || 'none' }),
      tunnel: (ctx) => {
        ctx.state.since = performance.now();
        return undefined;
      },
    });
    proxy.on('connection', () => (connections += 1));
    proxy.on('connectionClosed', () => (closed += 1));
    const count = ({ bytesUp, bytesDown, wire, detail, state }: ProxyRecord) => {
      assert.ok(typeof state?.since === 'number');
      totals.up += bytesUp;
      totals.down += bytesDown;
      totals.wire += wire?.upstreamWritten ?? 0;
      if (detail === 'all odd ones') totals.byReason += 1;
    };
    proxy.on('close', ({ record }) => count(record));
    let sent = 0;
    const heaps: number[] = [];
    for (let begun = 0; begun < SESSIONS; begun += BATCH) {
      const clients: RawPeer[] = [];
      for (let at = 0; at < BATCH; at++) {
        const login = Buffer.from(`${at % 2 === 0 ? 'even' : 'odd'}:`).toString('base64');
        const client = await rawClient(proxy.port);
        const text = 'x'.repeat(1 + (at % 50));
        sent += text.length;
        const head = connectTo(origin.authority).replace(
          /\r\n\r\n$/,
          `\r\nProxy-Authorization: Basic ${login}\r\n\r\n`,
        );
        client.send(head + text);
        clients.push(client);
      }
      await until(() => proxy.sessions().filter(({ bytesDown }) => bytesDown > 0).length === BATCH, 'all have echoed');
      assert.equal(proxy.closeSessions({ user: 'odd', client: '127.0.0.1' }, 'all odd ones'), BATCH / 2);
      await until(() => proxy.sessions().every(({ user }) => user === 'even'), 'the odd ones have ended');
      assert.equal(
        proxy.closeSessions(({ target }) => target?.port === origin.port),
        BATCH / 2,
      );
      await until(() => proxy.open === 0, 'all have ended');
      for (const client of clients) client.socket.destroy();
      clients.length = 0;
      origin.connections.length = 0;
      await until(() => closed === begun + BATCH && origin.openNow === 0, 'every connection of the batch is closed');
      heaps.push(await heapBytes());
    }
    const [first = 0] = heaps;
    const growth = (heaps.at(-1) ?? 0) - first;
    assert.ok(growth < GROWTH_MAX, `the heap has grown by ${growth} bytes: ${heaps.join(', ')}`);
    assert.equal(closed, SESSIONS);
    assert.equal(connections, SESSIONS);
    assert.deepEqual(totals, { up: sent, down: sent, wire: sent, byReason: SESSIONS / 2 });
    assert.deepEqual(proxy.sessions(), []);
  }),
);
