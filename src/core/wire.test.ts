import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import type { Ownership, Receiver } from './source.ts';
import { SocketWire, StreamWire } from './wire.ts';

/** A wire and the plain socket at its other end. */
async function pair(): Promise<{ wire: SocketWire; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const wire = new SocketWire();
  const socket = connect({ host: '127.0.0.1', port: address.port, allowHalfOpen: true, onread: wire.onread });
  wire.attach(socket);
  const [[peer]] = await Promise.all([once(server, 'connection'), once(socket, 'connect')]);
  server.close();
  return { wire, peer };
}

class Heard implements Receiver {
  text = '';
  ownerships: Ownership[] = [];
  fate: 'open' | 'ended' | 'failed' = 'open';
  #waiting: (() => void) | undefined;

  bytes(chunk: Buffer, ownership: Ownership): void {
    this.text += chunk.toString('latin1');
    this.ownerships.push(ownership);
    this.#waiting?.();
  }
  end(): void {
    this.fate = 'ended';
    this.#waiting?.();
  }
  failed(): void {
    this.fate = 'failed';
    this.#waiting?.();
  }
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}

test('bytes stay in the kernel until somebody wants them, and go to one receiver at a time', async () => {
  const { wire, peer } = await pair();
  peer.write('first');
  const one = new Heard();
  wire.deliverTo(one);
  await one.next();
  wire.deliverTo(undefined);
  peer.write('second');
  const two = new Heard();
  wire.deliverTo(two);
  await two.next();
  assert.deepEqual([one.text, two.text], ['first', 'second']);
  assert.deepEqual(two.ownerships, ['shared']);
  wire.stream.destroy();
  peer.destroy();
});

test('a lent buffer is where the next read lands', async () => {
  const { wire, peer } = await pair();
  const buffer = Buffer.alloc(16);
  const heard = new Heard();
  wire.deliverTo({
    bytes(chunk, ownership) {
      wire.lend(buffer);
      heard.bytes(chunk, ownership);
    },
    end: () => heard.end(),
    failed: () => heard.failed(),
  });
  peer.write('one');
  await heard.next();
  peer.write('two');
  await heard.next();
  assert.deepEqual(heard.ownerships, ['shared', 'lent']);
  assert.equal(buffer.toString('latin1', 0, 3), 'two');
  wire.stream.destroy();
  peer.destroy();
});

test('every receiver learns how the connection ended, also one that comes later', async () => {
  const { wire, peer } = await pair();
  const one = new Heard();
  wire.deliverTo(one);
  peer.end();
  await one.next();
  const two = new Heard();
  wire.deliverTo(two);
  assert.equal(two.fate, 'open', 'not while it is being set up');
  await two.next();
  assert.deepEqual([one.fate, two.fate], ['ended', 'ended']);
  wire.stream.destroy();
  peer.destroy();
});

test('a reset from the peer is a failure, not an end', async () => {
  const { wire, peer } = await pair();
  const heard = new Heard();
  wire.deliverTo(heard);
  peer.resetAndDestroy();
  await heard.next();
  assert.equal(heard.fate, 'failed');
});

test('a reset reaches the peer as a reset', async () => {
  const { wire, peer } = await pair();
  peer.resume();
  wire.reset();
  const [error] = await once(peer, 'error');
  assert.equal(error.code, 'ECONNRESET');
});

test('a reset while a FIN is on its way closes the socket all the same', async () => {
  const { wire, peer } = await pair();
  wire.stream.end();
  // Now libuv has been asked for the FIN and has not answered yet.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  const closed = once(wire.stream, 'close');
  wire.reset();
  await closed;
  assert.equal(wire.stream.errored, null);
  peer.destroy();
});

test('a stream without onread keeps the same promises, in chunks of its own', async () => {
  const { wire, peer } = await pair();
  wire.stream.write('hello');
  const other = new StreamWire(peer);
  const heard = new Heard();
  other.deliverTo(heard);
  await heard.next();
  wire.stream.end();
  await heard.next();
  assert.deepEqual([heard.text, heard.ownerships, heard.fate], ['hello', ['fresh'], 'ended']);
  wire.stream.destroy();
  peer.destroy();
});
