import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { tunnelOf } from '../../test/support/gate-consumers.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { wirePair } from '../../test/support/wire-pair.ts';
import type { BodyTerms } from '../contracts/body-mover.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Wire } from '../contracts/wire.ts';
import { createLimits } from '../limits/limits.ts';
import { limitsSchema } from '../limits/options.ts';
import { IdleWatch } from '../net/idle-watch.ts';
import { BodyReader } from '../protocol/http1/body-reader.ts';
import { Stop } from '../util/stop.ts';
import { bodyMover } from './body-transfer.ts';

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
const STUCK_MS = 10_000;

/** A response of five bytes that has arrived as a whole, and how it is to go on. */
function setUp(from: Wire) {
  const clock = new ManualClock();
  const idle = new IdleWatch(clock);
  const signal = new Stop();
  const seen: (string | number)[] = [];
  const body = new BodyReader(from, { kind: 'length', bytes: 5 }, Buffer.from('hello'), {
    done: () => seen.push('done'),
    truncated: 'response_incomplete',
    broken: 'response_incomplete',
    malformed: 'origin_protocol',
  });
  const terms: BodyTerms = {
    head: { text: HEAD, onWritten: () => seen.push('head') },
    coding: 'raw',
    trailers: () => [],
    gate: undefined,
    signal,
    silentMs: 0,
    stuckMs: STUCK_MS,
    silent: 'origin_timeout',
    stuck: 'client_too_slow',
    broken: 'client_gone',
    count: (bytes) => seen.push(bytes),
  };
  return { clock, idle, signal, seen, body, terms, mover: bodyMover(idle) };
}

/** A client that takes nothing before `takes`. */
async function clientThatWaits() {
  const pair = await wirePair();
  const { stream } = pair.wire;
  assert.ok(stream instanceof Socket);
  stream.cork();
  return {
    to: stream,
    peer: pair.peer,
    takes: () => stream.uncork(),
    [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
  };
}

test('a small body that has arrived goes out at once, behind its head and in one piece', async () => {
  await using from = await wirePair();
  await using to = await wirePair();
  const { body, terms, seen, idle, mover } = setUp(from.wire);
  // No promise: there is nothing to wait for.
  assert.equal(mover.move(body, to.wire.stream, terms), 5);
  assert.deepEqual(seen, ['done', 'head', 5]);
  assert.equal(idle.size, 0);
  assert.equal(await to.peer.until('hello'), `${HEAD}hello`);
});

test('the gate of a request without limits lets a small body pass at once, and that of a limited one is asked', async () => {
  for (const limits of [{}, { bandwidth: { rate: '1MiB' } }]) {
    await using from = await wirePair();
    await using to = await wirePair();
    const { body, terms, mover, clock } = setUp(from.wire);
    const limiter = createLimits(limitsSchema.parse(limits), { clock, observe: () => undefined });
    using permit = await limiter.acquire(tunnelOf());
    const moving = mover.move(body, to.wire.stream, { ...terms, gate: permit.down });
    assert.equal(typeof moving, 'bandwidth' in limits ? 'object' : 'number');
    assert.equal(await moving, 5);
    assert.equal(await to.peer.until('hello'), `${HEAD}hello`);
  }
});

test('a small body that its client does not take yet is over once that has taken it', async () => {
  await using from = await wirePair();
  await using client = await clientThatWaits();
  const { body, terms, seen, idle, mover } = setUp(from.wire);
  const moving = mover.move(body, client.to, terms);
  assert.ok(moving instanceof Promise);
  assert.equal(idle.size, 1);
  client.takes();
  assert.equal(await moving, 5);
  assert.deepEqual([seen, idle.size], [['done', 'head', 5], 0]);
  assert.equal(await client.peer.until('hello'), `${HEAD}hello`);
});

test('a client that never takes a small body is too slow, and one whose request ends does not wait', async () => {
  for (const how of ['time', 'signal'] as const) {
    await using from = await wirePair();
    await using client = await clientThatWaits();
    const { body, terms, clock, signal, idle, mover } = setUp(from.wire);
    const moving = mover.move(body, client.to, terms);
    const why = new ProxyError('terminated', 'by an operator');
    if (how === 'time') clock.advance(2 * STUCK_MS);
    else signal.abort(why);
    const code = how === 'time' ? 'client_too_slow' : 'terminated';
    await assert.rejects(Promise.resolve(moving), (error) => error instanceof ProxyError && error.code === code);
    assert.equal(idle.size, 0);
  }
});

test('nothing of a small body is written for a request that has ended', async () => {
  await using from = await wirePair();
  await using to = await wirePair();
  const { body, terms, signal, seen, mover } = setUp(from.wire);
  signal.abort(new ProxyError('client_gone', 'it has left'));
  await assert.rejects(Promise.resolve(mover.move(body, to.wire.stream, terms)), { code: 'client_gone' });
  assert.deepEqual(seen, []);
});
