import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { bytesWithin, GateConsumer, jain, tunnelOf } from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Gate, IdentifiedRequest } from '../../contracts/stages.ts';
import { createLimits } from '../limits.ts';
import { type LimitsInput, limitsSchema } from '../options.ts';
import { Bucket } from '../shaping/bucket.ts';
import { FillRate } from '../token-bucket.ts';
import type { BudgetLease, GrantListener } from './backend.ts';
import { IpcLimitsClient } from './ipc-client.ts';
import { IpcLimitsServer } from './ipc-server.ts';
import { LeasedRefill } from './leased-refill.ts';
import type { WorkerSession } from './worker-session.ts';

const KIB = 1024;
const observe = () => {};

/** The owner of limits and two workers; a message takes a turn of the event loop each way, and no time. */
function setup(input: LimitsInput) {
  const clock = new ManualClock();
  const options = limitsSchema.parse(input);
  const owner = new IpcLimitsServer(options, { clock, observe });
  const worker = () => {
    const client: IpcLimitsClient = new IpcLimitsClient((messages) => session.receive(asSent(messages)));
    const session: WorkerSession = owner.openSession((messages) => client.receive(asSent(messages)));
    const limits = createLimits(options, { clock, observe, backend: client });
    const gate = async (request: IdentifiedRequest = tunnelOf()): Promise<Gate> => {
      const permit = await limits.acquire(request);
      assert.ok(permit.down);
      return permit.down;
    };
    return { limits, session, gate };
  };
  /** Lets time pass in steps, with all that happens in them. */
  const pass = async (ms: number, stepMs = 2) => {
    for (let at = 0; at < ms; at += stepMs) {
      clock.advance(stepMs);
      await settled();
    }
  };
  return { clock, owner, left: worker(), right: worker(), pass };
}

/** As a channel between processes sends it: JSON. */
const asSent = <T>(messages: T): T => JSON.parse(JSON.stringify(messages));

async function settled(): Promise<void> {
  for (let turns = 0; turns < 6; turns++) await nextTurn();
}

/** Consumers at gates, after so many milliseconds. */
async function during(at: ReturnType<typeof setup>, gates: readonly Gate[], ms: number): Promise<GateConsumer[]> {
  const takers = gates.map((gate) => new GateConsumer(gate, at.clock, { chunk: 64 * KIB, returnMs: 1 }));
  await at.pass(ms);
  return takers;
}

for (const [left, right] of [
  [1, 0],
  [8, 0],
  [6, 2],
  [1, 7],
] as const) {
  test(`a rate is that of both processes, and equal for ${left} and ${right} gates`, async () => {
    const at = setup({ bandwidth: { rate: '4MiB' } });
    const gates: Gate[] = [];
    for (let n = 0; n < left; n++) gates.push(await at.left.gate());
    for (let n = 0; n < right; n++) gates.push(await at.right.gate());
    const takers = await during(at, gates, 4_000);
    const part = bytesWithin(takers, 1_000, 4_000) / (3 * 4096 * KIB);
    assert.ok(Math.abs(part - 1) < 0.02, `${part} of the rate`);
    const shares = takers.map((taker) => bytesWithin([taker], 1_000, 4_000));
    assert.ok(jain(shares) > 0.98, `${shares}`);
  });
}

test('a slow rate reaches both processes, and no gate waits for ever', async () => {
  const at = setup({ bandwidth: { rate: '2KiB', burst: 100 } });
  const takers = await during(at, [await at.left.gate(), await at.right.gate(), await at.right.gate()], 20_000);
  const part = bytesWithin(takers, 2_000, 20_000) / (18 * 2 * KIB);
  assert.ok(Math.abs(part - 1) < 0.05, `${part} of the rate`);
  for (const { sent } of takers) assert.ok(sent > 8 * KIB, String(sent));
});

test('background in one process yields to the other process', async () => {
  const at = setup({
    bandwidth: [{ rate: '1MiB' }, { match: { hosts: ['slow.example'] }, priority: 'background' }],
  });
  const background = await at.left.gate(tunnelOf({ host: 'slow.example' }));
  const [patient, greedy] = await during(at, [background, await at.right.gate()], 3_000);
  assert.ok(patient && greedy);
  assert.ok(bytesWithin([greedy], 1_000, 3_000) > 1.9 * 1024 * KIB, `${greedy.sent}`);
  greedy.stop();
  await at.pass(3_000);
  assert.ok(bytesWithin([patient], 4_000, 6_000) > 1.9 * 1024 * KIB, `${patient.sent}`);
});

test('bytes that one process holds and does not use go back', async () => {
  const at = setup({ bandwidth: { rate: '100KiB', burst: '100KiB' } });
  const gate = await at.left.gate();
  assert.equal(await at.pass(0).then(() => gate.isIdle), false);
  const taker = new GateConsumer(gate, at.clock, { chunk: 1000 });
  await at.pass(20);
  taker.stop();
  await at.pass(4_000);
  // The whole burst is there for the other one, but for the slice that it was fetched in.
  const other = new GateConsumer(await at.right.gate(), at.clock, { chunk: 1000 });
  await at.pass(60);
  assert.ok(other.sent > 100 * KIB, String(other.sent));
});

test('tunnels are counted over both processes, and those of a dead one no more', async () => {
  const at = setup({ tunnels: { total: 3, wait: '1s' } });
  const permits = [await at.left.limits.acquire(tunnelOf()), await at.right.limits.acquire(tunnelOf())];
  permits.push(await at.left.limits.acquire(tunnelOf()));
  const waiting = Promise.resolve(at.right.limits.acquire(tunnelOf()));
  const aborted = new AbortController();
  const leaving = at.right.limits.acquire(withSignal(aborted.signal));
  aborted.abort(new Error('the client has gone'));
  await assert.rejects(async () => leaving, /the client has gone/);
  await settled();
  permits[0]?.[Symbol.dispose]();
  await at.pass(10);
  const fourth = await waiting;

  const late = at.right.limits.acquire(tunnelOf());
  const refused = assert.rejects(
    async () => late,
    (error) => error instanceof ProxyError && error.code === 'at_capacity' && error.headers[0]?.[0] === 'Retry-After',
  );
  await at.pass(1_010);
  await refused;

  at.left.session[Symbol.dispose]();
  const fifth = await at.right.limits.acquire(tunnelOf());
  fourth[Symbol.dispose]();
  fifth[Symbol.dispose]();
});

const withSignal = (signal: AbortSignal): IdentifiedRequest => {
  const from = tunnelOf();
  return { ...from, request: { ...from.request, signal } };
};

test('tunnels that were open before there was a limit are counted when one is set', async () => {
  const at = setup({});
  const early = [at.left.limits.acquire(tunnelOf()), at.right.limits.acquire(tunnelOf())];
  for (const one of early) assert.ok(!(one instanceof Promise));
  const limited = limitsSchema.parse({ tunnels: { total: 2, wait: 0 } });
  at.owner.update(limited);
  at.left.limits.update(limited);
  at.right.limits.update(limited);
  await settled();
  await assert.rejects(async () => at.left.limits.acquire(tunnelOf()), { code: 'at_capacity' });
  (await early[1])?.[Symbol.dispose]();
  await settled();
  (await at.left.limits.acquire(tunnelOf()))[Symbol.dispose]();
});

test('requests a second are counted over both processes', async () => {
  const at = setup({ requests: { per: 'proxy', rate: 5 } });
  const asked = Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? at.left : at.right).limits.acquire(tunnelOf()));
  const answers = await Promise.allSettled(asked);
  assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 5);
  await at.pass(200);
  await at.left.limits.acquire(tunnelOf());
  await assert.rejects(async () => at.right.limits.acquire(tunnelOf()), { code: 'rate_limited' });
});

test('with a quota that is used up, the next period admits tunnels of both processes again', async () => {
  const at = setup({ quota: { per: 'proxy', bytes: 1_000, every: '1h' } });
  const [left, right] = [await at.left.gate(), await at.right.gate()];
  const takers = [left, right].map((gate) => new GateConsumer(gate, at.clock, { chunk: 400 }));
  await at.pass(20);
  await Promise.all(takers.map(({ ended }) => ended));
  await assert.rejects(async () => at.left.limits.acquire(tunnelOf()), { code: 'quota_exceeded' });
  await at.pass(3_600_000, 600_000);
  const again = new GateConsumer(await at.left.gate(), at.clock, { chunk: 400 });
  await at.pass(20);
  await again.ended;
  assert.equal(again.sent, 1_000);
});

test('a quota of two processes is used to the byte', async () => {
  const { clock, left, right, pass } = setup({ quota: { per: 'proxy', bytes: 3_000_001, every: '1d' } });
  const gates = await Promise.all([left.gate(), left.gate(), right.gate(), right.gate()]);
  const takers = gates.map((gate) => new GateConsumer(gate, clock, { chunk: 50_000, returnMs: 1 }));
  await pass(400);
  await Promise.all(takers.map(({ ended }) => ended));
  assert.equal(
    takers.reduce((sum, { sent }) => sum + sent, 0),
    3_000_001,
  );
});

test('what a tunnel gives back of a quota that has ended for others is there for the next ones of both processes', async () => {
  const at = setup({ quota: { per: 'proxy', bytes: 3_000_000, every: '1d' } });
  const [slow, other] = [await at.left.gate(), await at.right.gate()];
  const held = await taken(slow, 900_000);
  const ending = new GateConsumer(other, at.clock, { chunk: 50_000 });
  await at.pass(100);
  await ending.ended;
  assert.equal(held + ending.sent, 3_000_000);

  slow.refund(800_000);
  // What this process does not use goes back to the owner, which admits requests then.
  await at.pass(3_000, 100);
  const there = new GateConsumer(await at.right.gate(), at.clock, { chunk: 50_000 });
  await at.pass(100);
  await there.ended;
  assert.equal(there.sent, 800_000);
});

test('the end of a quota holds in a process until it gives returned bytes up, or is granted some', () => {
  const clock = new ManualClock();
  let listener: GrantListener | undefined;
  const lease: BudgetLease = {
    want: () => undefined,
    refund: () => undefined,
    [Symbol.dispose]: () => undefined,
  };
  const refill = new LeasedRefill({
    rate: new FillRate(Number.POSITIVE_INFINITY),
    clock,
    openLease: (own) => {
      listener = own;
      return lease;
    },
    onRefilled: () => undefined,
    onWarm: () => undefined,
    onClosed: () => undefined,
  });
  const bucket = new Bucket(refill, { bytes: 0 }, 0);
  refill.attach(bucket);
  assert.ok(listener !== undefined);
  listener.onExhausted(60_000);
  assert.equal(bucket.lastBytes, 0);
  // Another process asks, and there is nothing to give: the end stays the end, or both would ask for ever.
  assert.equal(listener.onRecalled(), 0);
  assert.equal(bucket.lastBytes, 0);
  refill.refund(500);
  assert.equal(bucket.lastBytes, 500);
  assert.equal(listener.onRecalled(), 500);
  assert.equal(bucket.lastBytes, undefined, 'more may come');
  listener.onExhausted(60_000);
  listener.onGranted(300);
  assert.equal(bucket.lastBytes, undefined);
  listener.onExhausted(60_000);
  assert.equal(bucket.lastBytes, 300);
  clock.advance(60_000);
  assert.equal(bucket.lastBytes, undefined, 'the next period');
});

/** So many bytes, in as many grants as it takes. */
async function taken(gate: Gate, bytes: number): Promise<number> {
  let sum = 0;
  while (sum < bytes) sum += await gate.take(bytes - sum);
  return sum;
}

test('in a worker, describe returns what the owner counts over all workers', async () => {
  const at = setup({
    bandwidth: { name: 'all', rate: '1MiB' },
    tunnels: { total: 2, wait: 0 },
    requests: { name: 'requests', per: 'proxy', rate: 3 },
    quota: { name: 'daily', per: 'user', bytes: 10_000_000, every: '1d' },
  });
  const [left, right] = [await at.left.gate(tunnelOf({ user: 'ann' })), await at.right.gate(tunnelOf({ user: 'bob' }))];
  await assert.rejects(async () => at.right.limits.acquire(tunnelOf()), { code: 'at_capacity' });
  const consumers = [left, right].map((gate) => new GateConsumer(gate, at.clock, { chunk: 1_000 }));
  await at.pass(100);
  for (const consumer of consumers) consumer.stop();
  await at.pass(2_000);
  const sent = consumers.reduce((sum, one) => sum + one.sent, 0);

  const states = await Promise.all([at.left.limits.describe(), at.right.limits.describe(), at.owner.describe()]);
  assert.deepEqual(states[1], states[0]);
  assert.deepEqual(states[2], states[0]);
  const [bandwidth, tunnels, requests, quota] = states[0];
  assert.ok(bandwidth?.kind === 'bandwidth' && quota?.kind === 'quota');
  assert.deepEqual([bandwidth.users, bandwidth.waiting, bandwidth.bytes], [2, 0, sent]);
  assert.deepEqual(tunnels, {
    kind: 'tunnels',
    name: 'tunnels total',
    per: 'proxy',
    max: 2,
    open: 2,
    waiting: 0,
    refused: 1,
  });
  assert.ok(requests?.kind === 'requests' && requests.users === 1);
  assert.equal(quota.max, 10_000_000n);
  assert.deepEqual(quota.users.map(({ key }) => key).sort(), ['ann', 'bob']);
  assert.equal(
    quota.users.reduce((sum, { used }) => sum + used, 0n),
    BigInt(sent),
  );
  assert.ok(quota.users[0]?.resetsAt instanceof Date);
});

test('describe does not wait for a worker that hangs, nor for one that has died', async () => {
  const at = setup({ bandwidth: { name: 'all', rate: '1MiB' } });
  at.owner.openSession(() => {});
  let hasAnswer = false;
  const query = at.left.limits.describe().finally(() => {
    hasAnswer = true;
  });
  await settled();
  assert.equal(hasAnswer, false, 'it waits for the third worker');
  await at.pass(1_000, 100);
  assert.equal((await query).length, 1);

  const dying = at.owner.openSession(() => {});
  const second = at.owner.describe();
  dying[Symbol.dispose]();
  await at.pass(1_000, 100);
  assert.equal((await second).length, 1);
  assert.equal(at.clock.pending, 0);
});

test('limits that are closed give back what they held, and refuse what waits for the owner', async () => {
  const at = setup({ tunnels: { total: 1, wait: '1m', queue: 9 } });
  const held = await at.left.limits.acquire(tunnelOf());
  assert.deepEqual(held.limits, ['tunnels total']);
  const waiting = Promise.resolve(at.left.limits.acquire(tunnelOf()));
  const refused = assert.rejects(
    waiting,
    (error: unknown) => error instanceof ProxyError && error.code === 'shutdown' && error.clientDetail === undefined,
  );
  await settled();
  const query = assert.rejects(at.left.limits.describe(), /the limits of this process were closed/);
  await at.left.limits[Symbol.asyncDispose]();
  await Promise.all([refused, query]);
  (await at.right.limits.acquire(tunnelOf()))[Symbol.dispose]();
});
