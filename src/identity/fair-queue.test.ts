import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../contracts/failure.ts';
import { Stop } from '../util/stop.ts';
import { FREE_FAILURES } from './failures.ts';
import {
  type Attempt,
  FairQueue,
  LINE_WAITING_MAX,
  RUNNING_KNOWN_MAX,
  RUNNING_MAX,
  WAITING_MAX,
} from './fair-queue.ts';

/** A queue whose work waits until the test ends it. */
class World {
  readonly clock = new ManualClock();
  readonly queue = new FairQueue(this.clock);
  readonly started: string[] = [];
  readonly refused: string[] = [];
  readonly #open: (() => void)[] = [];

  ask(client: string, user: string, more: Partial<Attempt> & { readonly signal?: Stop } = {}): Promise<unknown> {
    const { signal = new Stop(), ...rest } = more;
    const name = `${client} ${user}`;
    const work = () => {
      this.started.push(name);
      return new Promise<null>((resolve) => this.#open.push(() => resolve(null)));
    };
    return this.queue
      .run({ client, user, pair: 'unknown', costUs: 1, ...rest }, work, signal)
      .catch((error: unknown) => {
        assert.ok(error instanceof ProxyError);
        this.refused.push(`${name} ${error.code}`);
      });
  }

  async endOne(): Promise<void> {
    this.#open.shift()?.();
    await nextTurn();
  }

  async endAll(): Promise<void> {
    while (this.#open.length > 0) await this.endOne();
  }
}

test('clients take turns, and so do the users of one client', async () => {
  const world = new World();
  for (let turn = 0; turn < 3; turn++) for (const user of ['u', 'v', 'w']) void world.ask('flood', user);
  void world.ask('second', 'u');
  void world.ask('third', 'u');
  await world.endAll();
  assert.deepEqual(world.started.slice(0, 6), ['flood u', 'flood v', 'flood w', 'second u', 'third u', 'flood u']);
  assert.equal(world.started.length, 11);
});

test('two run at a time, and a third one when its pair was right before', async () => {
  const world = new World();
  for (let at = 0; at < 10; at++) void world.ask(`client ${at}`, 'u');
  for (let at = 0; at < 3; at++) void world.ask('known', `user ${at}`, { pair: 'known' });
  assert.equal(RUNNING_MAX, 2);
  assert.equal(RUNNING_KNOWN_MAX, 3);
  assert.deepEqual(world.started, ['client 0 u', 'client 1 u', 'known user 0']);
  await world.endOne();
  await world.endOne();
  assert.deepEqual(world.started.slice(3), ['known user 1', 'known user 2'], 'the next ones are known ones too');
  await world.endAll();
  assert.equal(world.started.length, 13);
});

test('one user of one client has one comparison at a time, and few that wait', async () => {
  const world = new World();
  for (let at = 0; at < 12; at++) void world.ask('c', 'u');
  await nextTurn();
  assert.deepEqual(world.started, ['c u']);
  assert.equal(LINE_WAITING_MAX, 8);
  assert.deepEqual(world.refused, ['c u rate_limited', 'c u rate_limited', 'c u rate_limited']);
});

test('when too many wait, the newest of the client with most are refused, and then of the user with most', async () => {
  const world = new World();
  for (let at = 0; at < WAITING_MAX + RUNNING_MAX; at++) void world.ask('flood', `user ${at}`);
  await nextTurn();
  assert.deepEqual(world.refused, []);
  void world.ask('other', 'u');
  await nextTurn();
  assert.deepEqual(world.refused, ['flood user 2 at_capacity'], 'all its lines are as long');
  void world.ask('flood', 'one more');
  await nextTurn();
  assert.deepEqual(world.refused.slice(1), ['flood one more at_capacity'], 'no other client has more');
  await world.endOne();
  await world.endOne();
  assert.ok(world.started.includes('other u'));
});

test('of one client those of the user with most are refused', async () => {
  const world = new World();
  void world.ask('c', 'busy');
  for (let at = 0; at < LINE_WAITING_MAX; at++) void world.ask('c', 'busy');
  for (let at = 0; at < WAITING_MAX; at++) void world.ask('c', `user ${at}`);
  await nextTurn();
  // One runs; the first seven that were too many displaced those of the user that had more than one.
  assert.deepEqual([...new Set(world.refused)], ['c busy at_capacity']);
});

test('of expensive comparisons fewer may wait than of cheap ones', async () => {
  const world = new World();
  for (let at = 0; at < 20; at++) void world.ask(`client ${at}`, 'u', { costUs: 8_000_000 });
  await nextTurn();
  assert.equal(world.queue.size, 3);
  assert.equal(world.refused.length, 20 - 3 - RUNNING_MAX);
});

test('what was aborted is not run, whether it waits, rests or was known', async () => {
  const world = new World();
  void world.ask('a', 'u');
  void world.ask('b', 'u');
  void world.ask('c', 'u', { pair: 'known' });
  const stop = new Stop();
  const gone = [
    world.ask('d', 'u', { signal: stop }),
    world.ask('a', 'u', { signal: stop }),
    world.ask('e', 'u', { pair: 'known', signal: stop }),
  ];
  stop.abort(new ProxyError('client_gone', 'test'));
  await Promise.all(gone);
  assert.equal(world.queue.size, 0);
  await world.endAll();
  assert.equal(world.started.length, 3);
  for (let turn = 0; turn <= FREE_FAILURES; turn++) {
    void world.ask('r', 'u');
    await world.endAll();
  }
  const late = new Stop();
  const resting = world.ask('r', 'u', { signal: late });
  assert.equal(world.clock.pending, 1);
  late.abort(new ProxyError('client_gone', 'test'));
  await resting;
  assert.deepEqual([world.clock.pending, world.queue.size], [0, 0]);
});

test('a user that rests does not hold up others', async () => {
  const world = new World();
  for (let turn = 0; turn <= FREE_FAILURES; turn++) {
    void world.ask('c', 'u');
    await world.endAll();
  }
  world.started.length = 0;
  void world.ask('c', 'u');
  void world.ask('c', 'v');
  assert.deepEqual(world.started, ['c v']);
  await world.clock.pass(100);
  assert.deepEqual(world.started, ['c v', 'c u']);
});

test('it goes on after a failure', async () => {
  const { queue } = new World();
  const attempt = { client: 'c', user: 'u', pair: 'unknown', costUs: 1 } as const;
  for (let turn = 0; turn < 10; turn++) {
    await assert.rejects(
      queue.run(attempt, () => Promise.reject(new Error('test')), new Stop()),
      /test/,
    );
  }
  assert.equal(await queue.run(attempt, async () => 1, new Stop()), 1);
});
