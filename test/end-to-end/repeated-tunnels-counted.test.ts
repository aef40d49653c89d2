/** The command repeats decisions about a CONNECT: what it has counted and written is exact all the same, also with workers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { canSharePorts } from '../../src/cluster/ports.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { adminUnderTest, rowsIn } from '../support/admin.ts';
import { viaductEnds } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const noAddon = activeRelay('auto') !== 'native' && 'the addon is not built here; npm run build says why';
const noSharing = !(await canSharePorts()) && 'ports cannot be shared here';
const CLIENTS = 8;
const ROUNDS = 25;
const TUNNELS = CLIENTS * ROUNDS;

for (const workers of [1, 2]) {
  test(
    `every tunnel has one record, and is counted once by rules, metrics and totals (workers: ${workers})`,
    { skip: noAddon || (workers > 1 && noSharing), timeout: 60_000 },
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(echo);
      using folder = temporaryFolder();
      const log = join(folder.path, 'access.log');
      const access = [{ name: 'loopback', allow: { hosts: '127.0.0.1' } }, { default: 'deny' }];
      const config = folder.write('viaduct.json', JSON.stringify({ access }));
      const words = ['-c', config, '-l', '127.0.0.1', '--workers', `${workers}`, '--log', 'json', '--log-file', log];
      using at = await adminUnderTest(...words);
      const visit = async (bytes: number) => {
        using client = await rawClient(at.port);
        client.send(`${connectTo(origin.authority)}${'x'.repeat(bytes)}`);
        await client.when((peer) => peer.text.endsWith(`\r\n\r\n${'x'.repeat(bytes)}`), 'what it has sent');
        client.end();
        await client.ended();
      };
      const visitors = Array.from({ length: CLIENTS }, async (_, which) => {
        for (let round = 0; round < ROUNDS; round++) await visit(1 + which * ROUNDS + round);
      });
      await Promise.all(visitors);
      const lines = () => readFileSync(log, 'utf8').split('\n').filter(Boolean);
      await until(() => lines().length >= TUNNELS, 'all are in the log');
      const records: Record<string, unknown>[] = lines().map((line) => JSON.parse(line));
      assert.equal(records.length, TUNNELS);
      assert.equal(new Set(records.map(({ id }) => id)).size, TUNNELS, 'an id is used twice');
      const sizes = Array.from({ length: TUNNELS }, (_, one) => one + 1);
      assert.deepEqual(
        records.map(({ bytesUp }) => Number(bytesUp)).sort((one, other) => one - other),
        sizes,
      );
      for (const { bytesUp, bytesDown, rule, durationMs, timings } of records) {
        assert.deepEqual([bytesDown, rule], [bytesUp, 'loopback']);
        const sum = Object.values(Object(timings)).reduce((before: number, ms) => before + Number(ms), 0);
        // Each of the five is rounded; reading the head is none of them.
        assert.ok(sum > 0 && sum < Number(durationMs) + 1, `${JSON.stringify(timings)} in ${durationMs} ms`);
      }
      const bytes = sizes.reduce((sum, one) => sum + one, 0);
      const metrics = async () => (await fetch(`${at.instance.admin}/metrics`)).text();
      const valuesOf = (page: string, name: string) =>
        [...page.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))].map(([, labels, value]) => ({
          labels: labels ?? '',
          value: Number(value),
        }));
      const sumOf = (page: string, name: string) => valuesOf(page, name).reduce((sum, { value }) => sum + value, 0);
      // Workers report once a second.
      await until(async () => sumOf(await metrics(), 'viaduct_requests_total') >= TUNNELS, 'all are counted');
      const page = await metrics();
      assert.equal(sumOf(page, 'viaduct_requests_total'), TUNNELS);
      assert.equal(sumOf(page, 'viaduct_routes_total'), TUNNELS);
      assert.equal(sumOf(page, 'viaduct_request_failures_total'), 0);
      assert.equal(sumOf(page, 'viaduct_bytes_total'), 2 * bytes);
      assert.equal(sumOf(page, 'viaduct_open_requests'), 0);
      assert.equal(sumOf(page, 'viaduct_unaccounted'), 0);
      const { json } = await at.api('/api/rules');
      const rule = rowsIn(json, 'rules').find(({ name, kind }) => name === 'loopback' && kind === 'access');
      assert.equal(rule?.hits, TUNNELS);
      // Tunnels that go on are seen, and are those of the native relay.
      const open = await Promise.all(Array.from({ length: 20 }, () => rawClient(at.port)));
      for (const client of open) client.send(connectTo(origin.authority));
      await Promise.all(open.map((client) => client.until('\r\n\r\n')));
      const relayed = (of: string, relay: string) =>
        valuesOf(of, 'viaduct_relay_tunnels').find(({ labels }) => labels === `relay="${relay}"`)?.value;
      await until(async () => relayed(await metrics(), 'native') === open.length, 'the native relay has them');
      const now = await metrics();
      assert.deepEqual([relayed(now, 'portable'), sumOf(now, 'viaduct_unaccounted')], [0, 0]);
      const { out } = await viaductEnds(['top'], at.environment);
      const rows = out.split('\n').filter((line) => line.includes(origin.authority));
      assert.ok(rows.length > 0, out);
      for (const client of open) client[Symbol.dispose]();
      await until(async () => sumOf(await metrics(), 'viaduct_open_requests') === 0, 'none is left');
      assert.equal(sumOf(await metrics(), 'viaduct_requests_total'), TUNNELS + open.length);
    }),
  );
}
