import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type RedisServer, startRedis } from '../../../test/lab/redis.ts';
import { Fleet, type Instance } from '../../../test/support/fleet.ts';
import { GateConsumer, tunnelOf } from '../../../test/support/gate-consumers.ts';
import { missing } from '../../../test/support/requires.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Permit } from '../../contracts/stages.ts';

const MIB = 1024 * 1024;
const skip = missing('redis-server');

let redis: RedisServer;
before(async () => {
  if (skip === false) redis = await startRedis();
});
after(async () => {
  if (skip === false) await redis[Symbol.asyncDispose]();
});

let fleets = 0;
/** The store has begun to count long ago, unless a test says otherwise. */
async function fleet(): Promise<Fleet> {
  const at = new Fleet(redis.port, `admission-${++fleets}`);
  await (await at.instance({}))[Symbol.asyncDispose]();
  await at.pass(2_000);
  return at;
}

/** A permit, or the code of the refusal. */
async function ask(at: Fleet, instance: Instance, user: string): Promise<Permit | string> {
  try {
    return await at.settled(instance.limits.acquire(tunnelOf({ user })));
  } catch (error) {
    assert.ok(error instanceof ProxyError);
    return error.code;
  }
}

const admittedOf = (results: readonly (Permit | string)[]) => results.filter((one) => typeof one !== 'string').length;

test('a rate of requests is exact over three instances', { skip }, async () => {
  await using at = await fleet();
  const input = { requests: { per: 'user', rate: 5, burst: 10 } } as const;
  const instances = [await at.instance(input), await at.instance(input), await at.instance(input)];
  const fromMs = at.clock.now();
  const results: (Permit | string)[] = [];
  for (let n = 0; n < 60; n++) results.push(...(await Promise.all(instances.map((one) => ask(at, one, 'alice')))));
  const passedMs = at.clock.now() - fromMs;
  const most = 10 + (5 * passedMs) / 1_000;
  const admitted = admittedOf(results);
  assert.ok(admitted <= most && admitted >= most - 1, `${admitted} of at most ${most}`);
  assert.deepEqual([...new Set(results.filter((one) => typeof one === 'string'))], ['rate_limited']);
  assert.equal(typeof (await ask(at, instances[0] ?? assert.fail(), 'bob')), 'object');
});

test('requests that come together go with few calls, and are judged one by one', { skip }, async () => {
  await using at = await fleet();
  const a = await at.instance({ requests: { per: 'user', rate: 1, burst: 30 } });
  at.calls = 0;
  const results = await Promise.all(Array.from({ length: 100 }, () => ask(at, a, 'alice')));
  assert.equal(admittedOf(results), 30);
  assert.ok(at.calls < 10, `${at.calls} calls`);
});

test('open tunnels of a user are counted over all instances, and closing one makes way for another at any of them', {
  skip,
}, async () => {
  await using at = await fleet();
  const input = { tunnels: { user: 3, wait: 0 } } as const;
  const [a, b] = [await at.instance(input), await at.instance(input)];
  const results = [];
  for (const instance of [a, b, a, b, a]) results.push(await ask(at, instance, 'alice'));
  assert.deepEqual(
    results.map((one) => (typeof one === 'string' ? one : 'admitted')),
    ['admitted', 'admitted', 'admitted', 'too_many_tunnels', 'too_many_tunnels'],
  );
  const [first] = results;
  assert.ok(first && typeof first !== 'string');
  first[Symbol.dispose]();
  await at.pass(100);
  assert.equal(typeof (await ask(at, b, 'alice')), 'object');
  assert.equal(await ask(at, a, 'alice'), 'too_many_tunnels');
});

test('a request waits until a tunnel closes at another instance', { skip }, async () => {
  await using at = await fleet();
  const input = { tunnels: { total: 1, wait: '2s' } } as const;
  const [a, b] = [await at.instance(input), await at.instance(input)];
  const open = await ask(at, a, '');
  assert.ok(typeof open !== 'string');
  const waiting = ask(at, b, '');
  await at.pass(500);
  open[Symbol.dispose]();
  assert.equal(typeof (await waiting), 'object');
  const fromMs = at.clock.now();
  assert.equal(await ask(at, a, ''), 'at_capacity');
  assert.ok(at.clock.now() - fromMs >= 2_000, `${at.clock.now() - fromMs} ms`);
});

test('the places of an instance that was killed come back within its lease', { skip }, async () => {
  await using at = await fleet();
  const input = { tunnels: { total: 2, wait: 0 } } as const;
  const [a, b] = [await at.instance(input), await at.instance(input)];
  assert.equal(admittedOf([await ask(at, a, ''), await ask(at, a, '')]), 2);
  a.disconnect();
  assert.equal(await ask(at, b, ''), 'at_capacity');
  await at.pass(5_500);
  assert.equal(typeof (await ask(at, b, '')), 'object');
});

test('a store that has lost everything learns of open tunnels before it admits more', { skip }, async () => {
  await using at = await fleet();
  const input = { tunnels: { user: 2, wait: '5s' }, requests: { per: 'user', rate: 1, burst: 10 } } as const;
  const [a, b] = [await at.instance(input), await at.instance(input)];
  assert.equal(admittedOf([await ask(at, a, 'alice'), await ask(at, a, 'alice')]), 2);
  await redis.admin.flushall();
  assert.equal(await ask(at, b, 'alice'), 'too_many_tunnels');
  assert.equal(typeof (await ask(at, b, 'bob')), 'object');
});

for (const [onStoreDown, expected] of [
  ['deny', ['limits_unavailable', 'limits_unavailable', 'limits_unavailable', 'limits_unavailable']],
  ['local', ['admitted', 'admitted', 'too_many_tunnels', 'admitted']],
] as const) {
  test(`while the store is down, \`${onStoreDown}\` decides about new tunnels`, { skip }, async () => {
    await using at = await fleet();
    const input = { tunnels: { user: 4, wait: 0 } } as const;
    const [a, b] = [await at.instance(input, onStoreDown), await at.instance(input, onStoreDown)];
    await at.pass(1_500);
    a.disconnect();
    await at.pass(1_500);
    const results = [];
    for (const user of ['alice', 'alice', 'alice', 'bob']) results.push(await ask(at, a, user));
    assert.deepEqual(
      results.map((one) => (typeof one === 'string' ? one : 'admitted')),
      expected,
    );
    // What was opened meanwhile counts everywhere once it is back.
    a.connect();
    await at.pass(2_000);
    const open = onStoreDown === 'local' ? 2 : 0;
    const more = [];
    for (let n = 0; n < 5; n++) more.push(await ask(at, b, 'alice'));
    assert.equal(admittedOf(more), 4 - open);
    assert.match(a.notices.at(-1) ?? '', /is up again/);
  });
}

test('`deny` refuses also where only bandwidth is limited, and asks the store for nothing while it is up', {
  skip,
}, async () => {
  await using at = await fleet();
  const a = await at.instance({ bandwidth: { rate: '1MiB' }, onStoreDown: 'deny' }, 'deny');
  at.calls = 0;
  assert.equal(typeof (await ask(at, a, 'alice')), 'object');
  assert.equal(at.calls, 0);
  a.disconnect();
  await at.pass(1_500);
  assert.equal(await ask(at, a, 'alice'), 'limits_unavailable');
});

test('a quota is spent to its last part by three instances together, and no byte more', { skip }, async () => {
  await using at = await fleet();
  const input = { quota: { name: 'month', per: 'user', bytes: '64MiB', every: '30d' } } as const;
  const instances = [await at.instance(input), await at.instance(input), await at.instance(input)];
  const consumers: GateConsumer[] = [];
  for (const instance of instances) {
    for (let n = 0; n < 2; n++) {
      const gate = await instance.gate(tunnelOf({ user: 'alice' }));
      consumers.push(new GateConsumer(gate, at.clock, { chunk: 64 * 1024, returnMs: 5 }));
    }
  }
  await at.pass(10_000);
  await at.settled(Promise.all(consumers.map(({ ended }) => ended)));
  const sent = consumers.reduce((sum, one) => sum + one.sent, 0);
  assert.ok(sent <= 64 * MIB, `${sent - 64 * MIB} bytes too many`);
  assert.ok(sent >= 64 * MIB * 0.99, `${sent / MIB} MiB`);
  for (const instance of instances) assert.equal(await ask(at, instance, 'alice'), 'quota_exceeded');
  assert.equal(typeof (await ask(at, instances[0] ?? assert.fail(), 'bob')), 'object');
  const [state] = await at.settled(instances[0]?.limits.describe() ?? assert.fail());
  assert.ok(state?.kind === 'quota' && state.refused === 1);
});

test('what was used of a quota is known again after the store has lost it', { skip }, async () => {
  await using at = await fleet();
  const input = { quota: { per: 'user', bytes: '16MiB', every: '30d' } } as const;
  const [a, b] = [await at.instance(input), await at.instance(input)];
  const first = new GateConsumer(await a.gate(tunnelOf({ user: 'alice' })), at.clock, {
    ...{ chunk: 64 * 1024, returnMs: 20 },
  });
  await at.pass(2_000);
  assert.ok(first.sent > 4 * MIB, `${first.sent}`);
  await redis.admin.flushall();
  const second = new GateConsumer(await b.gate(tunnelOf({ user: 'alice' })), at.clock, {
    ...{ chunk: 64 * 1024, returnMs: 20 },
  });
  await at.pass(20_000);
  const sent = first.sent + second.sent;
  assert.ok(sent <= 16.5 * MIB && sent >= 15.5 * MIB, `${sent / MIB} MiB`);
});
