import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import type { RawPeer } from '../../../test/support/raw-client.ts';
import { dialledBy, type MakeWire, Notes, nodeWire, streamWire, wirePair } from '../../../test/support/wire-pair.ts';
import type { Connection } from '../../contracts/stages.ts';
import { epollSockets } from '../../net/epoll-sockets.ts';
import { StreamWire } from '../../net/node-wire.ts';
import { IdlePool, type Trust } from './idle-pool.ts';

/** A connection whose other end is the test: what is written into the stream is what the origin says. */
interface Opened extends Connection {
  readonly stream: PassThrough;
  readonly isClosed: boolean;
}

function opened(): Opened {
  const stream = new PassThrough();
  return {
    stream,
    wire: new StreamWire(stream),
    early: Buffer.alloc(0),
    address: '127.0.0.1',
    get isClosed() {
      return stream.destroyed;
    },
    [Symbol.dispose]: () => void stream.destroy(),
  };
}

const OWNER = '127.0.0.1';
const many = (count: number): Opened[] => Array.from({ length: count }, opened);

test('the connection that was used last is taken first, each once, and none of another key', async () => {
  const pool = new IdlePool(new ManualClock());
  const [first, second, other] = [opened(), opened(), opened()];
  pool.put(OWNER, 'a.test:80', first, pool.epoch, 'sure');
  pool.put(OWNER, 'a.test:80', second, pool.epoch, 'sure');
  pool.put(OWNER, 'b.test:80', other, pool.epoch, 'sure');
  assert.equal(await pool.take(OWNER, 'a.test:80'), second);
  assert.equal(await pool.take(OWNER, 'a.test:80'), first);
  assert.equal(await pool.take(OWNER, 'a.test:80'), undefined);
  assert.equal(pool.size, 1);
  assert.deepEqual([first.isClosed, second.isClosed, other.isClosed], [false, false, false]);
  pool.clear();
});

test('of one key 32 are kept; one more is closed and those that wait stay', () => {
  const pool = new IdlePool(new ManualClock());
  const all = many(33);
  for (const connection of all) pool.put(OWNER, 'a.test:80', connection, pool.epoch, 'sure');
  assert.equal(pool.size, 32);
  assert.deepEqual(
    all.filter(({ isClosed }) => isClosed),
    [all[32]],
  );
  pool.clear();
});

test('of all keys together 512 are kept, and a place that is taken out is free again', async () => {
  const pool = new IdlePool(new ManualClock());
  const all = many(512);
  for (const [at, connection] of all.entries())
    pool.put(OWNER, `${Math.floor(at / 32)}.test:80`, connection, pool.epoch, 'sure');
  const tooMany = opened();
  pool.put(OWNER, 'more.test:80', tooMany, pool.epoch, 'sure');
  assert.deepEqual([pool.size, tooMany.isClosed], [512, true]);
  await pool.take(OWNER, '0.test:80');
  const fits = opened();
  pool.put(OWNER, 'more.test:80', fits, pool.epoch, 'sure');
  assert.deepEqual([pool.size, fits.isClosed], [512, false]);
  pool.clear();
});

test('a connection is closed when it has been idle for 30 s, within a quarter of that, and no timer stays', () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const [early, late] = [opened(), opened()];
  pool.put(OWNER, 'a.test:80', early, pool.epoch, 'sure');
  clock.advance(10_000);
  pool.put(OWNER, 'a.test:80', late, pool.epoch, 'sure');
  clock.advance(19_999);
  assert.deepEqual([early.isClosed, late.isClosed], [false, false]);
  clock.advance(7_501);
  assert.deepEqual([early.isClosed, late.isClosed], [true, false]);
  clock.advance(10_000);
  assert.deepEqual([late.isClosed, pool.size, clock.pending], [true, 0, 0]);
});

test('a connection that is too old is not taken, even before the pool was swept', async () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const connection = opened();
  pool.put(OWNER, 'a.test:80', opened(), pool.epoch, 'sure');
  clock.advance(3_000);
  pool.put(OWNER, 'a.test:80', connection, pool.epoch, 'sure');
  // Its time is up at 33 s; the looks are at 30 s and at 37.5 s.
  clock.advance(30_000);
  assert.equal(await pool.take(OWNER, 'a.test:80'), undefined);
  assert.deepEqual([connection.isClosed, pool.size, clock.pending], [true, 0, 0]);
});

for (const [what, happen] of [
  ['says a byte', ({ stream }) => void stream.write('H')],
  ['ends', ({ stream }) => void stream.end()],
  ['fails', ({ stream }) => void stream.destroy(new Error('reset'))],
] as const satisfies readonly (readonly [string, (connection: Opened) => void])[]) {
  test(`an idle connection that ${what} is closed and not taken; its neighbours stay`, async () => {
    const pool = new IdlePool(new ManualClock());
    const [neighbour, connection] = [opened(), opened()];
    pool.put(OWNER, 'a.test:80', neighbour, pool.epoch, 'sure');
    pool.put(OWNER, 'a.test:80', connection, pool.epoch, 'sure');
    happen(connection);
    await nextTurn();
    assert.deepEqual([connection.isClosed, neighbour.isClosed, pool.size], [true, false, 1]);
    assert.equal(await pool.take(OWNER, 'a.test:80'), neighbour);
    pool.clear();
  });
}

test('a connection that was taken is watched no more', async () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const connection = opened();
  pool.put(OWNER, 'a.test:80', connection, pool.epoch, 'sure');
  assert.equal(await pool.take(OWNER, 'a.test:80'), connection);
  connection.stream.write('HTTP/1.1 200 OK');
  await nextTurn();
  clock.advance(60_000);
  assert.equal(connection.isClosed, false);
  assert.equal(clock.pending, 0);
});

test('clearing closes everything and stops the clock', () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const all = many(3);
  for (const [at, connection] of all.entries()) pool.put(OWNER, `${at}.test:80`, connection, pool.epoch, 'sure');
  pool.clear();
  assert.ok(all.every(({ isClosed }) => isClosed));
  assert.deepEqual([pool.size, clock.pending], [0, 0]);
});

test('what was in use when all was cleared is closed when it comes back', async () => {
  const pool = new IdlePool(new ManualClock());
  const [before, after] = [opened(), opened()];
  const { epoch } = pool;
  pool.clear();
  pool.put(OWNER, 'a.test:80', before, epoch, 'sure');
  pool.put(OWNER, 'a.test:80', after, pool.epoch, 'sure');
  assert.deepEqual([before.isClosed, (await pool.take(OWNER, 'a.test:80')) === after, pool.size], [true, true, 0]);
});

test('no connection of one owner is given to another, and each has 32 of a key', async () => {
  const pool = new IdlePool(new ManualClock());
  const [anns, bobs] = [many(33), many(33)];
  for (const connection of anns) pool.put('ann', 'a.test:80', connection, pool.epoch, 'sure');
  assert.equal(await pool.take('bob', 'a.test:80'), undefined);
  for (const connection of bobs) pool.put('bob', 'a.test:80', connection, pool.epoch, 'sure');
  assert.equal(pool.size, 64);
  assert.equal(await pool.take('bob', 'a.test:80'), bobs[31]);
  assert.equal(await pool.take('ann', 'a.test:80'), anns[31]);
  pool.clear();
});

test('when all 512 connections are idle, the owner with most of them loses the oldest to one that has fewer', () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const anns = many(512);
  for (const [at, connection] of anns.entries()) {
    // The oldest is not of the first key.
    pool.put('ann', `${15 - Math.floor(at / 32)}.test:80`, connection, pool.epoch, 'sure');
    clock.advance(1);
  }
  const bobs = many(257);
  for (const [at, connection] of bobs.entries())
    pool.put('bob', `${Math.floor(at / 32)}.test:80`, connection, pool.epoch, 'sure');
  const closed = (all: readonly Opened[]) => all.flatMap(({ isClosed }, at) => (isClosed ? [at] : []));
  assert.equal(pool.size, 512);
  assert.deepEqual(
    closed(anns),
    Array.from({ length: 256 }, (_, at) => at),
  );
  // Both have half: one more is one too many.
  assert.deepEqual(closed(bobs), [256]);
  pool.clear();
});

test('a doubtful connection is given when it has been quiet for 10 ms, and a sure one before it', async () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const [sure, doubtful] = [opened(), opened()];
  pool.put(OWNER, 'a.test:80', sure, pool.epoch, 'sure');
  pool.put(OWNER, 'a.test:80', doubtful, pool.epoch, 'doubtful');
  assert.equal(await pool.take(OWNER, 'a.test:80'), sure);
  let taken: unknown = 'nothing yet';
  void Promise.resolve(pool.take(OWNER, 'a.test:80')).then((connection) => {
    taken = connection;
  });
  assert.equal(pool.take(OWNER, 'a.test:80'), undefined, 'one waits for it already');
  await clock.pass(9);
  assert.equal(taken, 'nothing yet');
  await clock.pass(1);
  assert.equal(taken, doubtful);
  pool.clear();
});

test('of several doubtful connections each is waited for by one, and a second look costs no wait', async () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const all = many(4);
  for (const connection of all) {
    pool.put(OWNER, 'a.test:80', connection, pool.epoch, 'doubtful');
    clock.advance(1);
  }
  const taken = Array.from({ length: 3 }, () => pool.take(OWNER, 'a.test:80'));
  await clock.pass(10);
  assert.deepEqual(await Promise.all(taken), all.slice(0, 3));
  assert.equal(await pool.take(OWNER, 'a.test:80'), all[3]);
  pool.clear();
  assert.equal(clock.pending, 0);
});

for (const [what, happen] of [
  ['a byte comes', ({ stream }) => void stream.write('H')],
  ['it ends', ({ stream }) => void stream.end()],
  ['all is cleared', (_, pool) => pool.clear()],
] as const satisfies readonly (readonly [string, (connection: Opened, pool: IdlePool) => void])[]) {
  test(`a request that waits for a doubtful connection gets none when ${what}, and no timer stays`, async () => {
    const clock = new ManualClock();
    const pool = new IdlePool(clock);
    const connection = opened();
    pool.put(OWNER, 'a.test:80', connection, pool.epoch, 'doubtful');
    const taken = pool.take(OWNER, 'a.test:80');
    happen(connection, pool);
    assert.equal(await taken, undefined);
    assert.equal(connection.isClosed, true);
    pool.clear();
    assert.equal(clock.pending, 0);
  });
}

const sockets = epollSockets();
/** Of a socket of Node it is asked only where there is doubt. */
const KINDS: readonly (readonly [name: string, make: MakeWire, trust: Trust])[] = [
  ['SocketWire', nodeWire, 'doubtful'],
  ['StreamWire', streamWire, 'doubtful'],
  ...(sockets === undefined ? [] : [['EpollWire', dialledBy(sockets), 'sure'] as const]),
];
for (const [name, make, trust] of KINDS) {
  for (const [what, happen] of [
    ['a byte', (peer) => void peer.send('H')],
    ['a reset', (peer) => peer.reset()],
  ] as const satisfies readonly (readonly [string, (peer: RawPeer) => void])[]) {
    test(
      `${name}: a connection on which ${what} has arrived and was not read is not taken`,
      leavesNothing(async () => {
        await using pair = await wirePair(undefined, make);
        const clock = new ManualClock();
        const pool = new IdlePool(clock);
        pool.put(OWNER, 'a.test:80', pair.connection, pool.epoch, trust);
        await nextTurn();
        // As a loop that was busy all that time: what has come is in the kernel, unread.
        clock.sleep(10);
        happen(pair.peer);
        assert.equal(await pool.take(OWNER, 'a.test:80'), undefined);
        assert.deepEqual([pair.wire.stream.destroyed, pool.size], [true, 0]);
        pool.clear();
      }),
    );
  }

  test(
    `${name}: a connection on which nothing has arrived is taken, and gives what comes later`,
    leavesNothing(async () => {
      await using pair = await wirePair(undefined, make);
      const pool = new IdlePool(new ManualClock());
      pool.put(OWNER, 'a.test:80', pair.connection, pool.epoch, 'sure');
      await nextTurn();
      assert.equal(await pool.take(OWNER, 'a.test:80'), pair.connection);
      const notes = new Notes();
      pair.wire.deliverTo(notes);
      pair.peer.send('answer');
      await notes.when(({ text }) => text === 'answer');
      pool.clear();
    }),
  );
}
