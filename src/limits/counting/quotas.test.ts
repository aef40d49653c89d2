import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { tunnelOf } from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { ProxyEvent } from '../../contracts/event.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Gate } from '../../contracts/stages.ts';
import { createLimits, type Limits } from '../limits.ts';
import { type LimitsInput, limitsSchema } from '../options.ts';

const DAY = 86_400_000;
const GIB = 2 ** 30;

function start(quota: LimitsInput['quota'], stateDir?: string, clock: ManualClock = new ManualClock()) {
  const notices: string[] = [];
  const observe = (event: ProxyEvent) => void (event.type === 'notice' && notices.push(event.message));
  return { clock, notices, limits: createLimits(limitsSchema.parse({ quota }), { clock, observe, stateDir }) };
}
function gateOf(limits: Limits, more: Parameters<typeof tunnelOf>[0] = {}): { up: Gate; down: Gate } & Disposable {
  const permit = limits.acquire(tunnelOf(more));
  assert.ok(!(permit instanceof Promise));
  const { up, down } = permit;
  assert.ok(up && down);
  return { up, down, [Symbol.dispose]: () => permit[Symbol.dispose]() };
}
function refusal(limits: Limits, user?: string): ProxyError | undefined {
  try {
    void limits.acquire(tunnelOf(user === undefined ? {} : { user }));
    return undefined;
  } catch (error) {
    assert.ok(error instanceof ProxyError);
    return error;
  }
}
const usedOf = async (limits: Limits): Promise<bigint | undefined> => {
  const state = (await limits.describe()).find((one) => one.kind === 'quota');
  return state?.kind === 'quota' ? state.users[0]?.used : undefined;
};
async function withDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'viaduct-quota-'));
  try {
    await run(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('counts both directions, ends open tunnels at the last byte, and refuses with what is left and when it resets', () => {
  const { clock, limits } = start({ name: 'monthly', per: 'user', bytes: '50GiB', every: '30d' });
  const one = gateOf(limits, { user: 'alice' });
  const two = gateOf(limits, { user: 'alice' });
  assert.equal(one.down.take(40 * GIB), 40 * GIB);
  clock.advance(DAY);
  assert.equal(two.up.take(20 * GIB), 10 * GIB);
  assert.equal(one.down.take(1), 0);
  assert.equal(two.up.take(1), 0);
  const refused = refusal(limits, 'alice');
  assert.equal(refused?.code, 'quota_exceeded');
  assert.equal(
    refused?.clientDetail,
    'limit "monthly" allows 50GiB every 30d: 0B are left; it resets at 2025-01-31 00:00 UTC, in 29d',
  );
  assert.deepEqual(refused?.headers, [
    ['Retry-After', String(29 * 86_400)],
    ['RateLimit-Policy', '"monthly";q=53687091200;qu="content-bytes";w=2592000'],
    ['RateLimit', `"monthly";r=0;t=${29 * 86_400}`],
  ]);
  assert.equal(refusal(limits, 'bob'), undefined);
  clock.advance(29 * DAY);
  assert.equal(refusal(limits, 'alice'), undefined);
  assert.equal(one.down.take(1_000), 1_000, 'a new period');
});

test('refunded bytes are not counted', async () => {
  const { limits } = start({ per: 'client', bytes: 1_000, every: '1d' });
  const { down } = gateOf(limits);
  assert.equal(down.take(1_000), 1_000);
  down.refund(400);
  assert.equal(down.take(1_000), 400);
  assert.equal(await usedOf(limits), 1_000n);
});

test('a period begins with the first byte, not with the first request', () => {
  const { clock, limits } = start({ per: 'client', bytes: 1_000, every: '1h' });
  const { down } = gateOf(limits);
  clock.advance(3_000_000);
  down.take(1_000);
  clock.advance(3_000_000);
  assert.equal(down.take(1), 0);
  clock.advance(600_000);
  assert.equal(down.take(1), 1);
});

test('counts every byte beyond 2^53', async () => {
  const { limits } = start({ per: 'proxy', bytes: '16PiB', every: '30d' });
  const { down } = gateOf(limits);
  const half = 2 ** 52 + 1;
  for (let left = half; left > 0; ) {
    const bytes = down.take(left);
    assert.ok(typeof bytes === 'number' && bytes > 0);
    left -= bytes;
  }
  for (let left = half; left > 0; ) {
    const bytes = down.take(left);
    assert.ok(typeof bytes === 'number' && bytes > 0);
    left -= bytes;
  }
  for (let count = 0; count < 1_001; count++) assert.equal(down.take(1), 1);
  assert.equal(await usedOf(limits), 2n * (2n ** 52n + 1n) + 1_001n);
});

test('survives a restart, in a file that no other user can read', async () => {
  await withDirectory(async (directory) => {
    const quota = { per: 'user', bytes: '20PiB', every: '30d' } as const;
    const first = start(quota, join(directory, 'state'));
    gateOf(first.limits, { user: '__proto__' }).down.take(12_345);
    gateOf(first.limits, { user: 'alice' }).up.take(99);
    await first.limits[Symbol.asyncDispose]();
    const path = join(directory, 'state', 'quota.json');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(join(directory, 'state')), ['quota.json']);

    first.clock.advance(DAY);
    const second = start(quota, join(directory, 'state'), first.clock);
    assert.equal(await usedOf(second.limits), 12_345n);
    gateOf(second.limits, { user: '__proto__' }).down.take(5);
    assert.equal(await usedOf(second.limits), 12_350n);
    second.clock.advance(29 * DAY);
    await second.limits[Symbol.asyncDispose]();
    assert.match(
      await readFile(path, 'utf8'),
      /^\{"version":1,"quotas":\[\["quota user #1",\[\]\]\]\}$/m,
      'ended: pruned',
    );
  });
});

test('is saved some seconds after a change, once for many changes', async () => {
  await withDirectory(async (directory) => {
    const { clock, limits } = start({ per: 'proxy', bytes: 1_000_000, every: '1d' }, directory);
    const { down } = gateOf(limits);
    for (let count = 0; count < 100; count++) down.take(10);
    assert.equal(clock.pending, 1);
    assert.deepEqual(await readdir(directory), []);
    clock.advance(5_000);
    assert.equal(clock.pending, 0);
    await limits[Symbol.asyncDispose]();
    assert.match(await readFile(join(directory, 'quota.json'), 'utf8'), /"1000"/);
  });
});

test('a crash between writing and renaming leaves the last good file', async () => {
  await withDirectory(async (directory) => {
    const quota = { per: 'proxy', bytes: 1_000_000, every: '1d' } as const;
    const first = start(quota, directory);
    gateOf(first.limits).down.take(700);
    await first.limits[Symbol.asyncDispose]();
    await writeFile(join(directory, 'quota.json.tmp'), '{"version":1,"quo');
    const second = start(quota, directory, first.clock);
    assert.equal(await usedOf(second.limits), 700n);
    gateOf(second.limits).down.take(1);
    await second.limits[Symbol.asyncDispose]();
    assert.equal(
      await readFile(join(directory, 'quota.json.tmp'), 'utf8'),
      '{"version":1,"quo',
      'may be in use elsewhere',
    );
    assert.deepEqual((await readdir(directory)).sort(), ['quota.json', 'quota.json.tmp']);
    assert.deepEqual(second.notices, []);
  });
});

test('two that share one file never fail over each other, and a failed write leaves nothing behind', async () => {
  await withDirectory(async (directory) => {
    const quota = { per: 'proxy', bytes: 1_000_000, every: '1d' } as const;
    for (let round = 0; round < 10; round++) {
      const both = [start(quota, directory), start(quota, directory)];
      for (const { limits } of both) gateOf(limits).down.take(1);
      await Promise.all(both.map(({ limits }) => limits[Symbol.asyncDispose]()));
      assert.deepEqual(
        both.flatMap(({ notices }) => notices),
        [],
      );
    }
    const { limits, notices } = start(quota, directory);
    gateOf(limits).down.take(1);
    await rm(join(directory, 'quota.json'));
    await mkdir(join(directory, 'quota.json'));
    await limits[Symbol.asyncDispose]();
    assert.deepEqual(notices, [
      `${join(directory, 'quota.json')}: quotas cannot be saved: EISDIR; until the file can be written, a restart resets them`,
    ]);
    assert.deepEqual(await readdir(directory), ['quota.json']);
  });
});

test('a damaged file is renamed with a notice, and counting begins at 0', async () => {
  await withDirectory(async (directory) => {
    const path = join(directory, 'quota.json');
    for (const damage of [
      '{"version":1,"quo',
      '[]',
      '{"version":2,"quotas":[]}',
      '{"version":1,"quotas":[["a",[["b",1,"-5"]]]]}',
    ]) {
      await writeFile(path, damage);
      const { limits, notices } = start({ per: 'proxy', bytes: 1_000, every: '1d' }, directory);
      assert.equal(notices.length, 1, damage);
      assert.match(notices[0] ?? '', /quota\.json: is (damaged|of another version); renamed to .*quota\.json\.bad/);
      assert.equal(await readFile(`${path}.bad`, 'utf8'), damage);
      assert.equal(gateOf(limits).down.take(5_000), 1_000);
      await limits[Symbol.asyncDispose]();
    }
  });
});

test('a folder in place of the file is left alone, with one notice', async () => {
  await withDirectory(async (directory) => {
    const path = join(directory, 'quota.json');
    await mkdir(path);
    await writeFile(join(path, 'precious'), 'x');
    const { clock, limits, notices } = start({ per: 'proxy', bytes: 10_000, every: '1d' }, directory);
    gateOf(limits).down.take(1);
    assert.equal(clock.pending, 0, 'nothing is to be written');
    await limits[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(directory), ['quota.json']);
    assert.deepEqual(await readdir(path), ['precious']);
    assert.deepEqual(notices, [
      `${path}: quotas cannot be saved: it is not a regular file; until the file can be written, a restart resets them`,
    ]);
  });
});

test('a directory that cannot be written is reported once, and the proxy goes on', async () => {
  await withDirectory(async (directory) => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    const { clock, limits, notices } = start({ per: 'proxy', bytes: 10_000, every: '1d' }, join(file, 'below'));
    for (let count = 0; count < 3; count++) {
      gateOf(limits).down.take(1);
      clock.advance(5_000);
    }
    await limits[Symbol.asyncDispose]();
    assert.deepEqual(
      notices.filter((notice) => notice.includes('cannot be saved')),
      [
        `${join(file, 'below', 'quota.json')}: quotas cannot be saved: ENOTDIR; until the file can be written, a restart resets them`,
      ],
    );
  });
});

test('a reload changes the size and keeps the use; a new quota binds open tunnels', () => {
  const { limits } = start({ per: 'client', bytes: 1_000, every: '1d' });
  const { down } = gateOf(limits);
  assert.equal(down.take(1_000), 1_000);
  limits.update(limitsSchema.parse({ quota: { per: 'client', bytes: 1_500, every: '1d' } }));
  assert.equal(down.take(1_000), 500);
  limits.update(
    limitsSchema.parse({
      quota: [
        { per: 'client', bytes: 5_000, every: '1d' },
        { per: 'host', bytes: 200, every: '1d' },
      ],
    }),
  );
  assert.equal(down.take(1_000), 200);
});

test('a clock that was set back neither resets a period nor refuses clients for long', () => {
  const { clock, limits } = start({ per: 'client', bytes: 100, every: '1h' });
  const { down } = gateOf(limits);
  down.take(100);
  clock.setWall(clock.wallMs() - 1_800_000);
  assert.equal(down.take(1), 0);
  clock.setWall(clock.wallMs() - 20 * 365 * DAY);
  assert.equal(down.take(1), 0);
  clock.advance(3_600_000);
  assert.equal(down.take(1), 1);
});

test('a clock that is wrong after a restart until it is set ends no period', async () => {
  await withDirectory(async (directory) => {
    const quota = { per: 'proxy', bytes: 100, every: '30d' } as const;
    const first = start(quota, directory);
    gateOf(first.limits).down.take(100);
    await first.limits[Symbol.asyncDispose]();
    const { clock, limits } = start(quota, directory, new ManualClock(0));
    const refused = refusal(limits);
    assert.equal(refused?.code, 'quota_exceeded');
    assert.deepEqual(refused.headers[0], ['Retry-After', String(30 * 86_400)], 'and not 55 years');
    clock.setWall(Date.UTC(2025, 0, 2));
    assert.equal(refusal(limits)?.code, 'quota_exceeded');
    clock.setWall(Date.UTC(2025, 0, 31));
    assert.equal(refusal(limits), undefined);
    await limits[Symbol.asyncDispose]();
  });
});
