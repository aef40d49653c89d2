import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProxy } from '../../src/index.ts';
import { systemClock } from '../../src/util/clock.ts';
import { type RedisServer, startRedis } from '../lab/redis.ts';
import { type AdminUnderTest, adminUnderTest, rowsIn } from '../support/admin.ts';
import { AuthenticatingProxy, basicJudge } from '../support/authenticating-proxy.ts';
import { ask, get, statusOf } from '../support/authentication.ts';
import { ProxyUnderTest, testCredentialSources } from '../support/proxy-under-test.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { arrived, converse, counting, type Traffic, TrafficOrigin, tunnel } from '../support/traffic.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const RATE = 8 * MIB;
/** Long enough to see a doubled limit, and short enough for a suite: exactness is tested on a clock of the test's own. */
const WINDOW_MS = 3_000;
const skip = missing('redis-server');

let redis: RedisServer;
before(async () => {
  if (skip === false) redis = await startRedis();
});
after(async () => {
  if (skip === false) await redis[Symbol.asyncDispose]();
});

/** Three instances behind one store, the last one with two workers. */
async function instances(limits: object): Promise<AdminUnderTest[] & Disposable> {
  const folder = temporaryFolder();
  const file = folder.write('viaduct.json', { limits: { store: redis.url, storePrefix: 'e2e', ...limits } });
  const all = await Promise.all(
    [1, 1, 2].map((workers) => adminUnderTest('--config', file, '--workers', `${workers}`)),
  );
  return Object.assign(all, {
    [Symbol.dispose]() {
      for (const one of all) one[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  });
}

const storeOf = async (one: AdminUnderTest): Promise<Record<string, unknown>> =>
  Object((await one.api('/api/limits')).json).store ?? {};

test('three instances, one of them with workers, share a rate, a count of tunnels and what they know of it', {
  skip,
}, async () => {
  using all = await instances({
    bandwidth: { name: 'all', per: 'proxy', rate: '8MiB' },
    tunnels: { client: 5, wait: 0 },
  });
  await using origin = await TrafficOrigin.listen();
  await until(
    async () => (await Promise.all(all.map(storeOf))).every(({ instances }) => instances === 3),
    'all know all',
  );
  // The store is new: it admits tunnels when every instance could have reported its own.
  const open: Traffic[] = [];
  for (const one of [...all, ...all]) {
    await until(async () => {
      try {
        open.push(counting(await tunnel(one.port, origin, 'flood 65536')));
        return true;
      } catch (error) {
        return open.length === 5 && /^HTTP\/1\.1 503 |^HTTP\/1\.1 429 /.test(String(Object(error).message));
      }
    }, 'a tunnel is open, or the sixth is refused');
  }
  assert.equal(open.length, 5);
  await sleep(1_000);
  const fromMs = performance.now();
  await sleep(WINDOW_MS);
  const toMs = performance.now();
  const part =
    arrived(
      open.map(({ down }) => down),
      fromMs,
      toMs,
    ) /
    ((RATE * (toMs - fromMs)) / 1_000);
  assert.ok(part > 0.7 && part < 1.15, `${part} of the rate`);
  const [first] = all;
  assert.ok(first);
  assert.deepEqual(
    rowsIn((await first.api('/api/limits')).json, 'limits').map(({ name }) => name),
    ['all', 'tunnels client'],
  );
  const metrics = await (await fetch(`${first.instance.admin}/metrics`)).text();
  assert.match(metrics, /^viaduct_limit_store_up 1$/m);
  assert.match(metrics, /^viaduct_limit_store_instances 3$/m);
  assert.match(metrics, /^viaduct_limit_store_errors_total \d+$/m);

  // The store is frozen: the tunnels go on, and one notice says so.
  redis.daemon.kill('SIGSTOP');
  try {
    await first.running.says('until it is back, this proxy keeps to its part of each limit (1 of 3)');
    assert.equal((await storeOf(first)).up, false);
    for (const { down } of open) {
      const before = down.total;
      await until(() => down.total > before, 'the tunnel goes on');
    }
  } finally {
    redis.daemon.kill('SIGCONT');
  }
  await first.running.says('is up again: limits are shared');
  for (const { socket } of open) {
    assert.equal(socket.destroyed, false);
    socket.destroy();
  }
});

test('with `deny` new requests get 503 while the store is away', { skip }, async () => {
  const own = await startRedis();
  using folder = temporaryFolder();
  const file = folder.write('viaduct.json', {
    limits: { store: own.url, onStoreDown: 'deny', requests: { per: 'client', rate: 100 } },
  });
  using one = await adminUnderTest('--config', file);
  await using origin = await TrafficOrigin.listen();
  using open = await tunnel(one.port, origin, 'echo');
  await own[Symbol.asyncDispose]();
  await one.running.says('until it is back, new requests get 503');
  const { head } = await converse(one.port, connectTo(origin.target));
  assert.match(head, /^HTTP\/1\.1 503 /);
  assert.match(head, /Proxy-Status: viaduct; error=connection_limit_reached/);
  assert.equal(open.socket.destroyed, false);
});

test('programs bring clients of their own, of either kind', { skip }, async () => {
  const { admin } = redis;
  const limits = { storePrefix: 'programs', tunnels: { total: 1, wait: 0 } } as const;
  // It began to count long ago: a new one first learns of the tunnels that are open.
  await admin.set('{programs}:epoch', `${Date.now() - 3_600_000}`);
  await using first = await startProxy({ limits, limitStore: admin });
  const sendCommand = ([name = '', ...args]: string[]) => admin.call(name, ...args);
  await using second = await startProxy({ limits, limitStore: { sendCommand } });
  await using origin = await TrafficOrigin.listen();
  using _open = await tunnel(first.port, origin, 'echo');
  const { head, socket } = await converse(second.port, connectTo(origin.target));
  socket.destroy();
  assert.match(head, /^HTTP\/1\.1 503 at_capacity/);
});

test('a password that an upstream proxy has rejected at one instance is sent by no other one', { skip }, async () => {
  await using upstream = await AuthenticatingProxy.listen(basicJudge('me', 'right-password'));
  using folder = temporaryFolder();
  const secret = folder.write('fleet.key', 'the key of the fleet');
  chmodSync(secret, 0o600);
  const start = (storePrefix: string) =>
    ProxyUnderTest.start(
      {
        routes: { proxy: upstream.url },
        credentials: { default: { user: 'me', from: 'env:PW' } },
        limits: { store: redis.url, storePrefix, storeSecret: `file:${secret}` },
      },
      { credentials: testCredentialSources(systemClock, { PW: 'wrong-password' }) },
    );
  await using first = await start('rejected');
  await using second = await start('rejected');
  const sent = () => upstream.requests.filter(({ credentials }) => credentials !== undefined).length;
  assert.equal(statusOf(await ask(first.port, get)), 502);
  const tries = sent();
  assert.ok(tries > 0);
  await until(async () => (await redis.admin.hlen('{rejected}:table:latches')) === 1, 'the store knows of it');
  assert.equal(statusOf(await ask(second.port, get)), 502);
  assert.equal(sent(), tries);
  // Where the store knows nothing of it, it is sent.
  await using other = await start('other');
  assert.equal(statusOf(await ask(other.port, get)), 502);
  assert.ok(sent() > tries);
});
