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

const close = (result: Permit | string): void => {
  if (typeof result !== 'string') result[Symbol.dispose]();
};
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

test('an instance that was taken for ended says again which tunnels it has open', { skip }, async () => {
  await using at = await fleet();
  const input = { tunnels: { total: 2, wait: 0 } } as const;
  const a = await at.instance(input);
  const [id = ''] = await redis.admin.zrange(`{admission-${fleets}}:instances`, '0', '-1');
  const b = await at.instance(input);
  assert.equal(admittedOf([await ask(at, a, ''), await ask(at, a, '')]), 2);
  // As after a suspend of its machine: its lease has ended, and another instance has asked meanwhile.
  await redis.admin.zrem(`{admission-${fleets}}:instances`, id);
  close(await ask(at, b, ''));
  await at.pass(2_500);
  assert.equal(await ask(at, b, ''), 'at_capacity');
  assert.deepEqual(a.notices, []);
});

test('no value of the store admits more than the limits allow, or refuses for longer than they do', {
  skip,
}, async () => {
  await using at = await fleet();
  const input = {
    tunnels: { total: 4, wait: 0 },
    requests: { per: 'user', rate: 1, burst: 3 },
    quota: { per: 'user', bytes: '1GiB', every: '30d' },
  } as const;
  const [a] = [await at.instance(input), await at.instance(input)];
  const prefix = `{admission-${fleets}}`;
  assert.equal(admittedOf([await ask(at, a, 'alice')]), 1);
  const ids = await redis.admin.zrange(`${prefix}:instances`, '0', '-1');
  assert.equal(ids.length, 2);
  const [tunnels = ''] = await redis.admin.keys(`${prefix}:tunnels:*`);
  const [requests = ''] = await redis.admin.keys(`${prefix}:requests:*`);
  const users = ['b', 'c', 'd', 'e', 'f', 'g'];
  const results = [];
  for (const [n, count] of [-1_000, 'nan', 'text', '-1e300', 'inf', 0.5].entries()) {
    for (const id of ids) await redis.admin.hset(tunnels, id, String(count));
    results.push(await ask(at, a, users[n] ?? ''));
  }
  assert.equal(admittedOf(results), 3);
  assert.ok(
    results.slice(3).every((one) => one === 'at_capacity'),
    `${results.slice(3)}`,
  );
  for (const one of results) close(one);
  await at.pass(100);
  for (const written of ['text', 'nan', '-1e300', '1e300', '1e14']) {
    await redis.admin.set(requests, written);
    close(await ask(at, a, 'alice'));
    await at.pass(1_100);
    const again = await ask(at, a, 'alice');
    assert.equal(admittedOf([again]), 1, `${again} after ${written}`);
    close(again);
  }
  // However often it was lost: what is written there is what counts, and a burst is the most.
  assert.ok(admittedOf(await Promise.all(Array.from({ length: 9 }, () => ask(at, a, 'alice')))) <= 3);
  assert.deepEqual(a.notices, []);
});

test('of a request that was given up before its turn the store is not asked', { skip }, async () => {
  await using at = await fleet();
  const a = await at.instance({ requests: { per: 'user', rate: 0.1, burst: 2 } });
  at.delayMs = 500;
  const first = ask(at, a, 'alice');
  await at.pass(50);
  const client = new AbortController();
  const gone = a.limits.acquire(tunnelOf({ user: 'alice', signal: client.signal }));
  const ended = Promise.resolve(gone).catch((error: unknown) => error);
  client.abort(new Error('the client has gone'));
  assert.equal(admittedOf([await first]), 1);
  assert.match(String(await at.settled(ended)), /the client has gone/);
  // It has cost nothing of the burst.
  assert.equal(admittedOf([await ask(at, a, 'alice')]), 1);
});
