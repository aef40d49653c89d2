import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import { systemClock } from '../util/clock.ts';
import { NUMBERS_PER_REPORT, TUNNEL_ENDS, TUNNEL_REPORTS } from './abi.ts';
import type { RepeatsAddon } from './addon.ts';
import { type EndedTunnel, type RepeatedTunnel, type RepeatOwner, RepeatTable } from './repeat-table.ts';

const DECISION = {
  ...{ listener: 7, client: '127.0.0.1', localAddress: '', target: '127.0.0.1', port: 443 },
  ...{ head: 'CONNECT a:443 HTTP/1.1\r\n\r\n', response: 'HTTP/1.1 200 OK\r\n\r\n' },
};
const OPEN = TUNNEL_REPORTS.open;
const OVER = TUNNEL_REPORTS.over;

/** An addon whose reports a test makes up. */
class MadeUpAddon implements RepeatsAddon {
  /** What `add` returns, and the decisions that it was given since the last `renew` that succeeded. */
  hasSpace = true;
  readonly added: number[] = [];
  /** What the next calls of `renew` return; 0 behind the last. */
  readonly waits: number[] = [];
  renewals = 0;
  left = 0;
  credit = 0;
  #onReports: (reports: number) => void = () => undefined;
  #reports = new Float64Array();

  begin(...[onReports, reports]: Parameters<RepeatsAddon['begin']>): void {
    this.#onReports = onReports;
    this.#reports = new Float64Array(reports);
  }
  add(...words: Parameters<RepeatsAddon['add']>): boolean {
    if (this.hasSpace) this.added.push(words[7]);
    return this.hasSpace;
  }
  renew(): number {
    this.renewals += 1;
    return this.waits.shift() ?? 0;
  }
  setCredit(tunnels: number): void {
    this.credit = tunnels;
  }
  unreported(): number {
    return this.left;
  }
  nowMs(): number {
    return performance.now() + 5_000;
  }
  report(...reports: readonly (readonly number[])[]): void {
    for (const [at, one] of reports.entries()) this.#reports.set(one, NUMBERS_PER_REPORT * at);
    this.#onReports(reports.length);
  }
}

class Owner implements RepeatOwner {
  readonly openedTunnels: RepeatedTunnel[] = [];
  readonly endedTunnels: EndedTunnel[] = [];
  drops = 0;
  fails = false;
  opened(tunnel: RepeatedTunnel): void {
    this.openedTunnels.push(tunnel);
    if (this.fails) throw new Error('of its own');
  }
  ended(tunnel: EndedTunnel): void {
    this.endedTunnels.push(tunnel);
  }
  dropped(): void {
    this.drops += 1;
  }
}

/** A table whose timers are the test's: nothing is renewed by itself. */
function madeUp({ mock }: TestContext) {
  mock.timers.enable({ apis: ['setTimeout'] });
  const addon = new MadeUpAddon();
  const commands: string[] = [];
  const thread = {
    countersOfRepeated: () => new ArrayBuffer(0),
    command: (slot: number, command: string) => void commands.push(`${command} ${slot}`),
  };
  return { addon, commands, table: new RepeatTable(addon, thread), timers: mock.timers };
}

test('each report reaches the owner of its decision, with times on the clock of the process', (t) => {
  const { addon, table } = madeUp(t);
  assert.ok(addon.credit > 0);
  const [one, other] = [new Owner(), new Owner()];
  assert.ok(table.add(DECISION, one) && table.add({ ...DECISION, port: 444 }, other));
  const [first = 0, second = 0] = addon.added;
  const acceptedMs = addon.nowMs();
  addon.report(
    [OVER, second, 3, 40_000, acceptedMs, acceptedMs + 1, acceptedMs + 2, 10, 20, TUNNEL_ENDS.upstream],
    [OPEN, first, 4, 40_001, acceptedMs, acceptedMs + 1, acceptedMs + 2, 0, 0, 0],
  );
  assert.deepEqual([one.endedTunnels, other.openedTunnels], [[], []]);
  const [ended] = other.endedTunnels;
  assert.ok(ended !== undefined);
  const { slot, clientPort, up, down, end } = ended;
  assert.deepEqual([slot, clientPort, up, down, end], [3, 40_000, 10, 20, TUNNEL_ENDS.upstream]);
  assert.ok(Math.abs(ended.acceptedMs - systemClock.now()) < 2_000, 'another clock');
  assert.ok(ended.openedMs - ended.acceptedMs > 0.9 && ended.endedMs - ended.openedMs > 0.9);
  assert.deepEqual(
    one.openedTunnels.map((tunnel) => [tunnel.slot, tunnel.clientPort]),
    [[4, 40_001]],
  );
});

test('an owner is dropped once, when all by its table is reported, and hears of its tunnels until then', (t) => {
  const { addon, table, timers } = madeUp(t);
  const owner = new Owner();
  table.add(DECISION, owner);
  const [id = 0] = addon.added;
  timers.tick(1_000);
  assert.deepEqual([addon.renewals, owner.drops], [1, 0]);
  addon.report([OVER, id, 1, 2, 0, 0, 0, 0, 0, 0]);
  assert.equal(owner.endedTunnels.length, 1);
  // The addon waits for another tunnel of the table before.
  addon.waits.push(1, 1);
  timers.tick(1_000);
  assert.deepEqual([addon.renewals, owner.drops], [2, 0]);
  addon.report([OVER, id, 1, 2, 0, 0, 0, 0, 0, 0]);
  assert.equal(owner.endedTunnels.length, 2);
  timers.tick(50);
  timers.tick(50);
  assert.deepEqual([addon.renewals, owner.drops], [4, 1]);
  timers.tick(10_000);
  assert.deepEqual([addon.renewals, owner.drops], [4, 1], 'an empty table is not renewed');
});

test('a decision that the addon does not take has no owner', (t) => {
  const { addon, table, timers } = madeUp(t);
  addon.hasSpace = false;
  const owner = new Owner();
  assert.equal(table.add(DECISION, owner), false);
  table.forget();
  timers.tick(10_000);
  assert.deepEqual([addon.renewals, owner.drops], [0, 0]);
});

test('what is forgotten waits for its tunnels no longer than they take', async (t) => {
  const { addon, table } = madeUp(t);
  const owner = new Owner();
  table.add(DECISION, owner);
  await table.settle();
  assert.equal(owner.drops, 1);
  // One decided about anew is another decision.
  table.add(DECISION, owner);
  assert.ok(addon.added[0] !== addon.added[1]);
});

test('a tunnel whose decision is unknown is ended, and an owner that fails keeps no report from another', async (t) => {
  const { addon, table, commands } = madeUp(t);
  const [one, other] = [new Owner(), new Owner()];
  one.fails = true;
  table.add(DECISION, one);
  table.add(DECISION, other);
  const [first = 0, second = 0] = addon.added;
  const failures: unknown[] = [];
  const queue = t.mock.method(globalThis, 'queueMicrotask', (task: () => void) => {
    assert.throws(task, (error) => failures.push(error) > 0);
  });
  addon.report(
    [OPEN, first, 1, 2, 0, 0, 0, 0, 0, 0],
    [OPEN, 9_999, 5, 2, 0, 0, 0, 0, 0, 0],
    [OVER, 9_999, 6, 2, 0, 0, 0, 0, 0, 0],
    [OPEN, second, 3, 2, 0, 0, 0, 0, 0, 0],
  );
  await nextRound();
  assert.deepEqual([queue.mock.callCount(), failures.length], [1, 1]);
  assert.deepEqual(commands, ['abort 5']);
  assert.equal(other.openedTunnels.length, 1);
});
