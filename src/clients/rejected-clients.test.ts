import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import type { RawPeer } from '../../test/support/raw-client.ts';
import { until } from '../../test/support/until.ts';
import { wirePair } from '../../test/support/wire-pair.ts';
import { RejectedClients } from './rejected-clients.ts';

const ANSWER = Buffer.from('no');

/** So many clients that were rejected and do not close, in their order. */
async function clients(rejected: RejectedClients, count: number): Promise<{ peers: RawPeer[] } & AsyncDisposable> {
  const pairs = await Promise.all(Array.from({ length: count }, () => wirePair()));
  for (const { wire, peer } of pairs) {
    peer.send('a request');
    rejected.add(wire, ANSWER);
  }
  const peers = pairs.map(({ peer }) => peer);
  for (const peer of peers) await peer.until('no');
  return {
    peers,
    async [Symbol.asyncDispose]() {
      for (const pair of pairs) await pair[Symbol.asyncDispose]();
    },
  };
}

/** Whether the other end is closed: what is sent to it is answered with a reset then. */
async function isClosed(peer: RawPeer): Promise<boolean> {
  const gone = peer
    .when(({ ending }) => ending === 'reset', 'reset', 300)
    .then(
      () => true,
      () => false,
    );
  peer.send('more').send('and more');
  return await gone;
}

test(
  'a rejected client that does not close has a second to read its response',
  leavesNothing(async () => {
    const clock = new ManualClock();
    const rejected = new RejectedClients(clock, () => 1_000);
    await using crowd = await clients(rejected, 2);
    const [one, two] = crowd.peers;
    assert.ok(one && two);
    await clock.pass(980);
    assert.equal(await isClosed(one), false);
    await clock.pass(40);
    assert.deepEqual([await isClosed(one), await isClosed(two), clock.pending], [true, true, 0]);
  }),
);

test(
  'in a crowd it has a tenth of that, and the listener can see that there is a crowd',
  leavesNothing(async () => {
    const clock = new ManualClock();
    const rejected = new RejectedClients(clock, () => 40);
    await using crowd = await clients(rejected, 9);
    assert.equal(rejected.isCrowded, false);
    await using more = await clients(rejected, 1);
    assert.equal(rejected.isCrowded, true);
    const [first] = crowd.peers;
    const [last] = more.peers;
    assert.ok(first && last);
    await clock.pass(80);
    assert.equal(await isClosed(first), false);
    await clock.pass(40);
    assert.deepEqual([await isClosed(first), await isClosed(last), rejected.isCrowded], [true, true, false]);
  }),
);

test(
  'the oldest is closed when all places are taken, and there are always some places',
  leavesNothing(async () => {
    const clock = new ManualClock();
    const rejected = new RejectedClients(clock, () => -5);
    await using crowd = await clients(rejected, 32);
    const [first, second] = crowd.peers;
    assert.ok(first && second);
    assert.equal(await isClosed(first), false);
    await using _more = await clients(rejected, 1);
    assert.deepEqual([await isClosed(first), await isClosed(second)], [true, false]);
    rejected.close();
    assert.deepEqual([await isClosed(second), clock.pending], [true, 0]);
  }),
);

test(
  'a client that closes gives its place back at once',
  leavesNothing(async () => {
    const clock = new ManualClock();
    const rejected = new RejectedClients(clock, () => 40);
    await using crowd = await clients(rejected, 10);
    for (const peer of crowd.peers) peer.end();
    await until(() => clock.pending === 0, 'every place is free');
    assert.deepEqual([rejected.isCrowded, clock.pending], [false, 0]);
  }),
);
