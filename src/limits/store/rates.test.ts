import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type RedisServer, startRedis } from '../../../test/lab/redis.ts';
import { Fleet, type Instance } from '../../../test/support/fleet.ts';
import { bytesWithin, GateConsumer, jain } from '../../../test/support/gate-consumers.ts';
import { missing } from '../../../test/support/requires.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const RATE = 20 * MIB;
const INPUT = { bandwidth: { rate: '20MiB' } } as const;
const skip = missing('redis-server');

let redis: RedisServer;
before(async () => {
  if (skip === false) redis = await startRedis();
});
after(async () => {
  if (skip === false) await redis[Symbol.asyncDispose]();
});

let fleets = 0;
const fleet = () => new Fleet(redis.port, `rates-${++fleets}`);

/** Greedy connections, as many at each instance as it says. */
async function consume(at: Fleet, loads: readonly (readonly [Instance, number])[]): Promise<GateConsumer[]> {
  const consumers: GateConsumer[] = [];
  for (const [instance, count] of loads) {
    for (let n = 0; n < count; n++) {
      consumers.push(new GateConsumer(await instance.gate(), at.clock, { chunk: 64 * KIB, returnMs: 1 }));
    }
  }
  return consumers;
}

for (const loads of [
  [2, 2, 2],
  [1, 4, 10],
  [6, 0, 0],
] as const) {
  test(`three instances with ${loads} tunnels deliver the rate of one limit together`, { skip }, async () => {
    await using at = fleet();
    const [a, b, c] = [await at.instance(INPUT), await at.instance(INPUT), await at.instance(INPUT)];
    // The store is new: it learns first.
    await at.pass(1_000);
    const consumers = await consume(at, [
      [a, loads[0]],
      [b, loads[1]],
      [c, loads[2]],
    ]);
    const fromMs = at.clock.now() + 500;
    at.calls = 0;
    await at.pass(10_500);
    const part = bytesWithin(consumers, fromMs, fromMs + 10_000) / (10 * RATE);
    assert.ok(Math.abs(part - 1) < 0.03, `${part} of the rate`);
    const shares = consumers.map((one) => bytesWithin([one], fromMs, fromMs + 10_000));
    assert.ok(jain(shares) > 0.97, `${shares}`);
    assert.ok(at.calls / 3 / 10.5 < 25, `${at.calls / 3 / 10.5} calls a second`);
  });
}

test('load that moves between instances every 10 s keeps the rate', { skip }, async () => {
  await using at = fleet();
  const instances = [await at.instance(INPUT), await at.instance(INPUT)];
  await at.pass(1_000);
  const parts: number[] = [];
  const all: GateConsumer[] = [];
  for (let move = 0; move < 4; move++) {
    const instance = instances[move % 2];
    assert.ok(instance);
    const fromMs = at.clock.now();
    const consumers = await consume(at, [[instance, 4]]);
    all.push(...consumers);
    await at.pass(10_000);
    for (const one of consumers) one.stop();
    parts.push(bytesWithin(all, fromMs, fromMs + 10_000) / (10 * RATE));
  }
  // The first window has the burst of a limit that was not used.
  for (const part of parts.slice(1)) assert.ok(Math.abs(part - 1) < 0.05, `${parts} of the rate`);
});

test('a store that has lost everything never doubles a limit', { skip }, async () => {
  await using at = fleet();
  const [a, b] = [await at.instance(INPUT), await at.instance(INPUT)];
  await at.pass(1_000);
  const consumers = await consume(at, [
    [a, 3],
    [b, 3],
  ]);
  await at.pass(3_000);
  const fromMs = at.clock.now();
  await redis.admin.flushall();
  // A third one comes at the worst moment.
  const c = await at.instance(INPUT);
  consumers.push(...(await consume(at, [[c, 3]])));
  await at.pass(5_000);
  for (let second = 0; second < 5; second++) {
    const part = bytesWithin(consumers, fromMs + second * 1_000, fromMs + (second + 1) * 1_000) / RATE;
    assert.ok(part < 1.25, `${part} of the rate in second ${second}`);
    if (second >= 2) assert.ok(part > 0.9, `${part} of the rate in second ${second}`);
  }
});

test('without the store each instance keeps to its part, and shares again when it is back', { skip }, async () => {
  await using at = fleet();
  const [a, b] = [await at.instance(INPUT), await at.instance(INPUT)];
  await at.pass(2_500);
  const consumers = await consume(at, [
    [a, 4],
    [b, 1],
  ]);
  await at.pass(2_000);
  a.disconnect();
  b.disconnect();
  await at.pass(55_000, 20);
  const awayMs = at.clock.now();
  await at.pass(5_000);
  const away = bytesWithin(consumers, awayMs, awayMs + 5_000) / (5 * RATE);
  assert.ok(away > 0.95 && away < 1.03, `${away} of the rate while it was away`);
  assert.match(
    a.notices.join('\n'),
    /the store of the shared limits, the store, refuses connections; until it is back, this proxy keeps to its part of each limit \(1 of 2\)/,
  );
  a.connect();
  b.connect();
  const backMs = at.clock.now();
  await at.pass(7_000);
  const back = bytesWithin(consumers, backMs + 2_000, backMs + 7_000) / (5 * RATE);
  assert.ok(Math.abs(back - 1) < 0.03, `${back} of the rate after it was back`);
  const first = bytesWithin(consumers, backMs, backMs + 2_000) / (2 * RATE);
  assert.ok(first < 1.15, `${first} of the rate as it came back`);
  const ofA = bytesWithin(consumers.slice(0, 4), backMs + 2_000, backMs + 7_000) / (5 * RATE);
  assert.ok(Math.abs(ofA - 0.8) < 0.03, `${ofA} for four of five tunnels`);
});

test('a store that takes half a second is used, and the limit holds', { skip }, async () => {
  await using at = fleet();
  const [a, b] = [await at.instance(INPUT), await at.instance(INPUT)];
  await at.pass(2_000);
  at.delayMs = 500;
  const consumers = await consume(at, [
    [a, 3],
    [b, 1],
  ]);
  await at.pass(5_000);
  const fromMs = at.clock.now();
  await at.pass(10_000);
  const part = bytesWithin(consumers, fromMs, fromMs + 10_000) / (10 * RATE);
  assert.ok(Math.abs(part - 1) < 0.05, `${part} of the rate`);
  assert.deepEqual(a.notices, []);
});

test('the lease of an instance that was killed goes to the others', { skip }, async () => {
  await using at = fleet();
  const [a, b] = [await at.instance(INPUT), await at.instance(INPUT)];
  await at.pass(1_500);
  const consumers = await consume(at, [
    [a, 3],
    [b, 3],
  ]);
  await at.pass(2_000);
  b.disconnect();
  const killedMs = at.clock.now();
  await at.pass(4_000);
  const ofA = bytesWithin(consumers.slice(0, 3), killedMs + 1_000, killedMs + 4_000) / (3 * RATE);
  assert.ok(Math.abs(ofA - 1) < 0.03, `${ofA} of the rate after the other was killed`);
});

test('a value of the store never raises a limit above the configured one', { skip }, async () => {
  await using at = fleet();
  const a = await at.instance(INPUT);
  await at.pass(1_500);
  const consumers = await consume(at, [[a, 2]]);
  await at.pass(1_000);
  const [key] = await redis.admin.keys(`{rates-${fleets}:*}:rate:*`);
  assert.ok(key);
  const fromMs = at.clock.now();
  for (let n = 0; n < 10; n++) {
    await redis.admin.hset(key, 'c', 1e15);
    await at.pass(200);
  }
  const part = bytesWithin(consumers, fromMs, fromMs + 2_000) / (2 * RATE);
  assert.ok(part < 1.11, `${part} of the rate, with the burst of 200 ms`);
});
