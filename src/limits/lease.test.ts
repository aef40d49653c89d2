import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { bytesWithin, jain, Taker, tunnelOf } from '../../test/support/takers.ts';
import { ProxyError } from '../core/failure.ts';
import type { Gate, Identified } from '../core/stages.ts';
import { Borrower } from './borrower.ts';
import { createLimits } from './limits.ts';
import { type LimitsInput, limitsSchema } from './options.ts';
import { type Branch, LimitsOwner } from './owner.ts';

const KIB = 1024;
const observe = () => {};

/** An owner and two processes that borrow from it; what they say takes a turn of the loop each way, and no time. */
function house(input: LimitsInput) {
  const clock = new ManualClock();
  const options = limitsSchema.parse(input);
  const owner = new LimitsOwner(options, { clock, observe });
  const wing = () => {
    const borrower: Borrower = new Borrower((messages) => branch.hear(structuredClone(messages)));
    const branch: Branch = owner.branch((messages) => borrower.hear(structuredClone(messages)));
    const limits = createLimits(options, { clock, observe, lender: borrower });
    const gate = async (request: Identified = tunnelOf()): Promise<Gate> => {
      const permit = await limits.acquire(request);
      assert.ok(permit.down);
      return permit.down;
    };
    return { limits, branch, gate };
  };
  /** Lets time pass in steps, with all that happens in them. */
  const pass = async (ms: number, stepMs = 2) => {
    for (let at = 0; at < ms; at += stepMs) {
      clock.advance(stepMs);
      await settled();
    }
  };
  return { clock, owner, left: wing(), right: wing(), pass };
}

async function settled(): Promise<void> {
  for (let turns = 0; turns < 6; turns++) await nextTurn();
}

/** Takers at gates, and what they get from now on in so many milliseconds. */
async function during(at: ReturnType<typeof house>, gates: readonly Gate[], ms: number): Promise<Taker[]> {
  const takers = gates.map((gate) => new Taker(gate, at.clock, { chunk: 64 * KIB, returnMs: 1 }));
  await at.pass(ms);
  return takers;
}

for (const [left, right] of [
  [1, 0],
  [8, 0],
  [6, 2],
  [1, 7],
] as const) {
  test(`a rate is that of both processes, and equal for ${left} and ${right} flows`, async () => {
    const at = house({ bandwidth: { rate: '4MiB' } });
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

test('a slow rate reaches both processes, and no flow waits for ever', async () => {
  const at = house({ bandwidth: { rate: '2KiB', burst: 100 } });
  const takers = await during(at, [await at.left.gate(), await at.right.gate(), await at.right.gate()], 20_000);
  const part = bytesWithin(takers, 2_000, 20_000) / (18 * 2 * KIB);
  assert.ok(Math.abs(part - 1) < 0.05, `${part} of the rate`);
  for (const { sent } of takers) assert.ok(sent > 8 * KIB, String(sent));
});

test('background in one process yields to the other process', async () => {
  const at = house({
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

test('what one process holds and does not use goes back', async () => {
  const at = house({ bandwidth: { rate: '100KiB', burst: '100KiB' } });
  const gate = await at.left.gate();
  assert.equal(await at.pass(0).then(() => gate.isIdle), false);
  const taker = new Taker(gate, at.clock, { chunk: 1000 });
  await at.pass(20);
  taker.stop();
  await at.pass(4_000);
  // The whole burst is there for the other one, but for the slice that it was fetched in.
  const other = new Taker(await at.right.gate(), at.clock, { chunk: 1000 });
  await at.pass(60);
  assert.ok(other.sent > 100 * KIB, String(other.sent));
});

test('places are counted over both processes, and those of a dead one are free again', async () => {
  const at = house({ tunnels: { total: 3, wait: '1s' } });
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
    (error) => error instanceof ProxyError && error.code === 'at_capacity' && error.fields[0]?.[0] === 'Retry-After',
  );
  await at.pass(1_010);
  await refused;

  at.left.branch[Symbol.dispose]();
  const fifth = await at.right.limits.acquire(tunnelOf());
  fourth[Symbol.dispose]();
  fifth[Symbol.dispose]();
});

const withSignal = (signal: AbortSignal): Identified => {
  const from = tunnelOf();
  return { ...from, request: { ...from.request, signal } };
};

test('tunnels that were open before anybody counted them are counted when a limit comes', async () => {
  const at = house({});
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

test('requests a second are those of both processes', async () => {
  const at = house({ requests: { per: 'proxy', rate: 5 } });
  const asked = Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? at.left : at.right).limits.acquire(tunnelOf()));
  const answers = await Promise.allSettled(asked);
  assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 5);
  await at.pass(200);
  await at.left.limits.acquire(tunnelOf());
  await assert.rejects(async () => at.right.limits.acquire(tunnelOf()), { code: 'over_rate' });
});

test('with a quota that is used up, the next period lets tunnels of both processes in again', async () => {
  const at = house({ quota: { per: 'proxy', bytes: 1_000, every: '1h' } });
  const [left, right] = [await at.left.gate(), await at.right.gate()];
  const takers = [left, right].map((gate) => new Taker(gate, at.clock, { chunk: 400 }));
  await at.pass(20);
  await Promise.all(takers.map(({ ended }) => ended));
  await assert.rejects(async () => at.left.limits.acquire(tunnelOf()), { code: 'over_rate' });
  await at.pass(3_600_000, 600_000);
  const again = new Taker(await at.left.gate(), at.clock, { chunk: 400 });
  await at.pass(20);
  await again.ended;
  assert.equal(again.sent, 1_000);
});

test('a quota of two processes is used to the byte', async () => {
  const { clock, left, right, pass } = house({ quota: { per: 'proxy', bytes: 3_000_001, every: '1d' } });
  const gates = await Promise.all([left.gate(), left.gate(), right.gate(), right.gate()]);
  const takers = gates.map((gate) => new Taker(gate, clock, { chunk: 50_000, returnMs: 1 }));
  await pass(400);
  await Promise.all(takers.map(({ ended }) => ended));
  assert.equal(
    takers.reduce((sum, { sent }) => sum + sent, 0),
    3_000_001,
  );
});
