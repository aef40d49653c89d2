import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { bytesWithin, GateConsumer, jain, tunnelOf } from '../../test/support/gate-consumers.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Gate, Permit } from '../contracts/stages.ts';
import type { LimitHook } from './hook.ts';
import { createLimits } from './limits.ts';
import { type LimitsInput, limitsSchema } from './options.ts';

const KIB = 1024;

function world(hook: LimitHook, options: LimitsInput = {}) {
  const clock = new ManualClock();
  const limits = createLimits(limitsSchema.parse(options), { clock, observe: () => {}, hook });
  let count = 0;
  const open = async (
    more: Parameters<typeof tunnelOf>[0] = {},
  ): Promise<{ limits: Permit['limits']; up: Gate; down: Gate }> => {
    const permit = await limits.acquire(tunnelOf({ id: `r${++count}`, ...more }));
    const { up, down } = permit;
    assert.ok(up && down);
    return { limits: permit.limits, up, down };
  };
  return { clock, limits, open };
}

for (const [answer, why] of [
  [42, /^limit hook: returned a number; write \{ down: /],
  [{ rate: '1MiB' }, /what it returned has an unknown key rate; known here: up, down, both$/],
  [{ down: { key: 'all', rate: '1MiB' } }, /down is no list; write \{ down: /],
  [{ down: ['1MiB'] }, /down: no budget; write \{ down: /],
  [
    { down: [{ key: 'all', rate: '1MiB', size: 1 }] },
    /has an unknown key size; known here: key, rate, burst, priority$/,
  ],
  [
    { down: [{ key: 'all', rate: '1MiB', priority: 'low' }] },
    /priority of the budget all is neither normal nor background$/,
  ],
] as const) {
  test(`what is no budgets refuses the request, and the error names what is wrong: ${inspect(answer)}`, async () => {
    const at = world(() => JSON.parse(JSON.stringify(answer)));
    await assert.rejects(at.open(), (error) => {
      assert.ok(error instanceof ProxyError);
      assert.equal(error.code, 'hook_failed');
      assert.match(error.detail, why);
      return true;
    });
  });
}

test('requests that name one key share one bucket, and each direction has its own', async () => {
  const at = world((ctx) => ({ down: [{ key: `user:${ctx.user?.id}`, rate: '64KiB' }] }));
  const [first, second, other] = [
    await at.open({ user: 'ann' }),
    await at.open({ user: 'ann' }),
    await at.open({ user: 'bob' }),
  ];
  assert.deepEqual(first.limits, ['user:ann']);
  const down = [first, second, other].map((permit) => new GateConsumer(permit.down, at.clock, { chunk: 16 * KIB }));
  await at.clock.pass(11_000);
  const sums = down.map((taker) => bytesWithin([taker], 1000, 11_000));
  assert.ok(jain(sums.slice(0, 2)) > 0.99, String(sums));
  for (const sum of [(sums[0] ?? 0) + (sums[1] ?? 0), sums[2] ?? 0]) {
    assert.ok(Math.abs(sum / (640 * KIB) - 1) < 0.02, String(sum));
  }
  assert.equal(first.up.take(1e9), 1e9, 'the other direction has no budget');
});

test('the rate of the latest call holds at once for all requests that share the key', async () => {
  let rate: string | number = '64KiB';
  const at = world(() => ({ both: [{ key: 'all', rate }] }));
  const permit = await at.open();
  const taker = new GateConsumer(permit.down, at.clock, { chunk: 16 * KIB });
  await at.clock.pass(5000);
  rate = 8 * KIB;
  await at.open();
  await at.clock.pass(10_000);
  const sum = bytesWithin([taker], 5000, 15_000);
  assert.ok(Math.abs(sum / (80 * KIB) - 1) < 0.02, String(sum));
});

test('limits of the configuration hold besides, and outlive a change of theirs', async () => {
  const at = world(() => ({ down: [{ key: 'all', rate: '1MiB' }] }), { bandwidth: { name: 'slow', rate: '32KiB' } });
  const permit = await at.open();
  assert.deepEqual(permit.limits, ['slow', 'all']);
  const taker = new GateConsumer(permit.down, at.clock, { chunk: 64 * KIB });
  await at.clock.pass(10_000);
  assert.ok(Math.abs(bytesWithin([taker], 0, 10_000) / (326 * KIB) - 1) < 0.02);
  at.limits.update(limitsSchema.parse({}));
  await at.clock.pass(10_000);
  assert.ok(Math.abs(bytesWithin([taker], 10_000, 20_000) / (10_240 * KIB) - 1) < 0.02);
});

test('a hook that returns nothing sets no limit', async () => {
  const permit = await world(() => undefined).open();
  assert.deepEqual([permit.down.take(1e9), permit.limits], [1e9, []]);
});

test('a hook that fails refuses the request and releases its tunnel', async () => {
  const wrong: LimitHook[] = [
    () => {
      throw new Error('no such table');
    },
    () => Promise.reject(new Error('timed out')),
    () => ({ down: [{ key: 'a', rate: 'fast' }] }),
    () => ({ down: [{ key: 'a', rate: -1 }] }),
    () => ({ down: [{ key: '', rate: 1 }] }),
  ];
  for (const hook of wrong) {
    const at = world(hook, { tunnels: { total: 1, wait: 0 } });
    for (const _ of [1, 2]) {
      await assert.rejects(at.open(), (error) => error instanceof ProxyError && error.code === 'hook_failed');
    }
  }
  const at = world(() => {
    throw new ProxyError('rate_limited', 'not today');
  });
  await assert.rejects(at.open(), (error) => error instanceof ProxyError && error.code === 'rate_limited');
});
