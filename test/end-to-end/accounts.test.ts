import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { resolveOptions } from '../../src/config/schema.ts';
import type { ProcessMeasures } from '../../src/observe/process-measures.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { connectTo } from '../support/requests.ts';
import { until } from '../support/until.ts';

const NOTHING: ProcessMeasures['unaccounted'] = { permits: 0, buckets: 0, connections: 0, descriptors: 0, timers: 0 };
/** Of each kind of end. */
const ROUNDS = 12;

/** An address without a listener. */
async function refusing(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : '';
}

for (const relay of ['auto', 'portable'] as const) {
  test(
    `under load and after ends of every kind nothing is without an owner (relay: ${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen((peer) => {
        peer.send('hello').socket.on('end', () => peer.end());
      });
      await using web = await RawOrigin.listen(answering(() => ok('fine')));
      const dead = await refusing();
      const bandwidth = [{ rate: '100MiB' }, { per: 'tunnel', rate: '10MiB', direction: 'down' }] as const;
      const listen = 'http://127.0.0.1:0';
      await using at = await ProxyUnderTest.start({ listen, relay, limits: { bandwidth: [...bandwidth] } });
      const { proxy } = at;
      const seen: ProcessMeasures['unaccounted'][] = [];
      let isLoaded = true;
      const watching = (async () => {
        while (isLoaded) {
          seen.push((await proxy.measure()).unaccounted);
          await turn();
        }
      })();
      const greeted = async () => {
        const client = await at.tunnel(origin.authority);
        await client.until('hello');
        return client;
      };
      const ends: readonly (() => Promise<void>)[] = [
        async () => void (await (await greeted()).end().ended()),
        async () => void (await greeted()).reset(),
        async () => {
          const client = await greeted();
          await until(() => proxy.sessions.snapshot().length > 0, 'a tunnel is open');
          for (const { record } of proxy.sessions.snapshot()) proxy.sessions.end(record.id, 'test');
          await client.ended();
        },
        async () => {
          const client = await at.client();
          client.send(connectTo(dead));
          await client.end().ended();
        },
        async () => {
          const client = await at.client();
          client.send(`GET http://${web.authority}/ HTTP/1.1\r\nHost: ${web.authority}\r\n\r\n`);
          await client.until('fine');
          client.reset();
        },
        async () => {
          // Leaves before the answer.
          const client = await at.client();
          client.send(connectTo(origin.authority)).reset();
        },
        async () => {
          const client = await greeted();
          // Limits come and go while it is open.
          for (const limits of [{}, { bandwidth: { rate: '50MiB' } }, { bandwidth: [...bandwidth] }] as const) {
            await proxy.reload(resolveOptions({ listen, relay, limits, log: { format: 'off' } }));
          }
          await client.end().ended();
        },
      ];
      for (let round = 0; round < ROUNDS; round++) await Promise.all(ends.map((end) => end().catch(() => undefined)));
      isLoaded = false;
      await watching;
      await at.forget();
      for (const one of seen) assert.deepEqual(one, NOTHING);
      assert.ok(seen.length > 0);
      await until(() => proxy.open === 0, 'no request is open');
      assert.deepEqual((await proxy.measure()).unaccounted, NOTHING);
    }),
  );
}
