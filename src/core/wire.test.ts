import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import { Notes, wirePair } from '../../test/support/wire-pair.ts';
import { StreamWire } from './wire.ts';

test('nothing is read before somebody receives', async () => {
  await using pair = await wirePair();
  pair.peer.send('early');
  await wait(20);
  assert.equal(pair.wire.stream.bytesRead, 0);
  const notes = new Notes();
  pair.wire.deliverTo(notes);
  await notes.when(({ text }) => text === 'early');
  assert.deepEqual(notes.ownerships, ['shared']);
});

test('a receiver is told the end once, and nothing after it', async () => {
  await using pair = await wirePair();
  const notes = new Notes();
  pair.wire.deliverTo(notes);
  pair.peer.send('last').end();
  await notes.when(({ told }) => told.length > 0);
  pair.wire.stream.end();
  await once(pair.wire.stream, 'close');
  assert.deepEqual([notes.text, notes.told], ['last', ['end']]);
});

test('whoever receives later learns how the connection ended', async () => {
  await using pair = await wirePair();
  const first = new Notes();
  pair.wire.deliverTo(first);
  pair.peer.end();
  await first.when(({ told }) => told.length > 0);
  pair.wire.deliverTo(undefined);
  const second = new Notes();
  pair.wire.deliverTo(second);
  assert.deepEqual(second.told, [], 'not before it has been set up');
  await second.when(({ told }) => told.length > 0);
  assert.deepEqual(second.told, ['end']);
});

test('a reset is a failure, also behind an end', async () => {
  await using pair = await wirePair();
  const notes = new Notes();
  pair.wire.deliverTo(notes);
  pair.peer.end();
  await notes.when(({ told }) => told.length === 1);
  // The other half is still being written when the peer resets.
  pair.peer.reset();
  pair.wire.stream.write('x');
  await notes.when(({ told }) => told.length === 2);
  assert.deepEqual(notes.told[0], 'end');
  assert.match(notes.told[1] ?? '', /^failed E(?:CONNRESET|PIPE)$/);
});

test('our own destruction is a failure for the receiver', async () => {
  await using pair = await wirePair();
  const notes = new Notes();
  pair.wire.deliverTo(notes);
  pair.wire.stream.destroy();
  await notes.when(({ told }) => told.length > 0);
  assert.deepEqual(notes.told, ['failed ECONNRESET']);
});

test('a reset reaches the peer as one', async () => {
  await using pair = await wirePair();
  pair.wire.reset();
  assert.equal(await pair.peer.ended(), 'reset');
});

for (const bytes of [0, 10, 30_000_000]) {
  test(`a reset right behind an end closes the socket, with ${bytes} bytes before it`, async () => {
    await using pair = await wirePair();
    pair.peer.socket.pause();
    const closed = once(pair.wire.stream, 'close');
    pair.wire.stream.write(Buffer.alloc(bytes));
    pair.wire.stream.end();
    pair.wire.reset();
    await closed;
    pair.peer.socket.resume();
    assert.equal(await pair.peer.ended(), bytes > 10 ? 'reset' : 'fin');
  });
}

test('a paused wire leaves the bytes in the kernel, and a resumed one goes on where it was', async () => {
  await using pair = await wirePair();
  const notes = new Notes();
  pair.wire.deliverTo(notes);
  pair.peer.send('one');
  await notes.when(({ text }) => text === 'one');
  pair.wire.pause();
  pair.peer.send('two');
  await wait(20);
  assert.equal(notes.text, 'one');
  pair.wire.resume();
  await notes.when(({ text }) => text === 'onetwo');
});

test('a pause from within a read holds from the next read on', async () => {
  await using pair = await wirePair();
  const notes = new Notes();
  pair.wire.deliverTo({
    bytes(chunk, ownership) {
      notes.bytes(chunk, ownership);
      pair.wire.pause();
    },
    end: () => notes.end(),
    failed: (error) => notes.failed(error),
  });
  pair.peer.send('x'.repeat(200_000));
  await notes.when(({ text }) => text.length > 0);
  const { length } = notes.text;
  await wait(20);
  assert.equal(notes.text.length, length);
  assert.ok(length <= 65_536);
});

test('a lent buffer is read into, and given back the shared one is', async () => {
  await using pair = await wirePair();
  const notes = new Notes();
  const lent = Buffer.alloc(100_000);
  let reads = 0;
  pair.wire.deliverTo({
    bytes(chunk, ownership) {
      notes.bytes(chunk, ownership);
      reads += 1;
      pair.wire.lend(reads === 1 ? lent : undefined);
    },
    end: () => notes.end(),
    failed: (error) => notes.failed(error),
  });
  for (const text of ['one', 'two', 'three']) {
    pair.peer.send(text);
    await notes.when((told) => told.text.endsWith(text));
  }
  assert.deepEqual(notes.ownerships, ['shared', 'lent', 'shared']);
  assert.equal(lent.toString('latin1', 0, 3), 'two');
});

test('a busy socket lets others have their turn after each full buffer', async () => {
  await using busy = await wirePair();
  await using quiet = await wirePair();
  const order: string[] = [];
  let seen = 0;
  const all = 40 * 65_536;
  const done = new Promise<void>((resolve) => {
    busy.wire.deliverTo({
      bytes(chunk) {
        seen += chunk.length;
        order.push('busy');
        if (seen === all) resolve();
      },
      end: () => undefined,
      failed: () => undefined,
    });
  });
  quiet.wire.deliverTo({
    bytes: () => void order.push('quiet'),
    end: () => undefined,
    failed: () => undefined,
  });
  busy.wire.pause();
  busy.peer.send(Buffer.alloc(all));
  await wait(50);
  quiet.peer.send('x');
  await wait(10);
  busy.wire.resume();
  await done;
  // The byte that was there first is not kept waiting until the busy socket is empty.
  assert.ok(order.indexOf('quiet') >= 0 && order.indexOf('quiet') < 3, order.slice(0, 5).join());
});

test('any other duplex keeps the same contract', async () => {
  const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const wire = new StreamWire(stream);
  stream.push('early');
  await nextTurn();
  const notes = new Notes();
  wire.deliverTo(notes);
  await notes.when(({ text }) => text === 'early');
  wire.pause();
  stream.push('late');
  await nextTurn();
  assert.equal(notes.text, 'early');
  wire.resume();
  stream.push(null);
  await notes.when(({ told }) => told.length > 0);
  assert.deepEqual([notes.text, notes.told, notes.ownerships], ['earlylate', ['end'], ['fresh', 'fresh']]);
});
