import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { Connection } from '../core/stages.ts';
import { StreamWire } from '../core/wire.ts';
import { IdlePool } from './pool.ts';

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

const many = (count: number): Opened[] => Array.from({ length: count }, opened);

test('the connection that was used last is taken first, each once, and none of another key', () => {
  const pool = new IdlePool(new ManualClock());
  const [first, second, other] = [opened(), opened(), opened()];
  pool.put('a.test:80', first, pool.epoch);
  pool.put('a.test:80', second, pool.epoch);
  pool.put('b.test:80', other, pool.epoch);
  assert.equal(pool.take('a.test:80'), second);
  assert.equal(pool.take('a.test:80'), first);
  assert.equal(pool.take('a.test:80'), undefined);
  assert.equal(pool.size, 1);
  assert.deepEqual([first.isClosed, second.isClosed, other.isClosed], [false, false, false]);
  pool.clear();
});

test('of one key 32 are kept; one more is closed and those that wait stay', () => {
  const pool = new IdlePool(new ManualClock());
  const all = many(33);
  for (const connection of all) pool.put('a.test:80', connection, pool.epoch);
  assert.equal(pool.size, 32);
  assert.deepEqual(
    all.filter(({ isClosed }) => isClosed),
    [all[32]],
  );
  pool.clear();
});

test('of all keys together 512 are kept, and a place that is taken out is free again', () => {
  const pool = new IdlePool(new ManualClock());
  const all = many(512);
  for (const [at, connection] of all.entries()) pool.put(`${Math.floor(at / 32)}.test:80`, connection, pool.epoch);
  const tooMany = opened();
  pool.put('more.test:80', tooMany, pool.epoch);
  assert.deepEqual([pool.size, tooMany.isClosed], [512, true]);
  pool.take('0.test:80');
  const fits = opened();
  pool.put('more.test:80', fits, pool.epoch);
  assert.deepEqual([pool.size, fits.isClosed], [512, false]);
  pool.clear();
});

test('a connection is closed when it has been idle for 30 s, within a quarter of that, and no timer stays', () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const [early, late] = [opened(), opened()];
  pool.put('a.test:80', early, pool.epoch);
  clock.advance(10_000);
  pool.put('a.test:80', late, pool.epoch);
  clock.advance(19_999);
  assert.deepEqual([early.isClosed, late.isClosed], [false, false]);
  clock.advance(7_501);
  assert.deepEqual([early.isClosed, late.isClosed], [true, false]);
  clock.advance(10_000);
  assert.deepEqual([late.isClosed, pool.size, clock.pending], [true, 0, 0]);
});

test('a connection that is too old is not taken, even before anybody has looked', () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const connection = opened();
  pool.put('a.test:80', opened(), pool.epoch);
  clock.advance(3_000);
  pool.put('a.test:80', connection, pool.epoch);
  // Its time is up at 33 s; the looks are at 30 s and at 37.5 s.
  clock.advance(30_000);
  assert.equal(pool.take('a.test:80'), undefined);
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
    pool.put('a.test:80', neighbour, pool.epoch);
    pool.put('a.test:80', connection, pool.epoch);
    happen(connection);
    await nextTurn();
    assert.deepEqual([connection.isClosed, neighbour.isClosed, pool.size], [true, false, 1]);
    assert.equal(pool.take('a.test:80'), neighbour);
    pool.clear();
  });
}

test('a connection that was taken is watched no more', async () => {
  const clock = new ManualClock();
  const pool = new IdlePool(clock);
  const connection = opened();
  pool.put('a.test:80', connection, pool.epoch);
  assert.equal(pool.take('a.test:80'), connection);
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
  for (const [at, connection] of all.entries()) pool.put(`${at}.test:80`, connection, pool.epoch);
  pool.clear();
  assert.ok(all.every(({ isClosed }) => isClosed));
  assert.deepEqual([pool.size, clock.pending], [0, 0]);
});

test('what was in use when all was cleared is closed when it comes back', () => {
  const pool = new IdlePool(new ManualClock());
  const [before, after] = [opened(), opened()];
  const { epoch } = pool;
  pool.clear();
  pool.put('a.test:80', before, epoch);
  pool.put('a.test:80', after, pool.epoch);
  assert.deepEqual([before.isClosed, pool.take('a.test:80') === after, pool.size], [true, true, 0]);
});
