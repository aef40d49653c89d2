import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import {
  type BoundSilence,
  DeferredKeepAlive,
  KEEP_ALIVE_DELAY_MS,
  type KeepAliveTarget,
  SILENCE_MS_MAX,
} from './deferred-keep-alive.ts';

class Target implements KeepAliveTarget {
  slot = NO_SLOT;
  seenByScan = false;
  readonly delaysMs: number[] = [];
  enableKeepAlive(delayMs: number): void {
    this.delaysMs.push(delayMs);
  }
  readonly bounds: (readonly [afterMs: number, of: BoundSilence | undefined])[] = [];
  boundSilence(afterMs: number, of: BoundSilence | undefined): void {
    this.bounds.push([afterMs, of]);
  }
}

test('the silence of a peer is bounded at every scan once its socket is old, and not when it has closed', () => {
  const clock = new ManualClock();
  const keepAlive = new DeferredKeepAlive(clock);
  const ofDescriptors: BoundSilence = () => true;
  keepAlive.boundDescriptorsBy(ofDescriptors);
  const [socket, other] = [new Target(), new Target()];
  keepAlive.add(socket);
  keepAlive.add(other);
  clock.advance(39_000);
  assert.deepEqual(socket.bounds, []);
  clock.advance(60_000);
  const bound = [SILENCE_MS_MAX, ofDescriptors] as const;
  assert.deepEqual(socket.bounds, [bound, bound, bound]);
  keepAlive.delete(socket);
  clock.advance(60_000);
  assert.equal(socket.bounds.length, 3);
  assert.equal(other.bounds.length, 6);
  keepAlive.delete(other);
  clock.advance(60_000);
  assert.deepEqual([keepAlive.size, clock.pending], [0, 0]);
});

test('keep-alive of a socket that lasts is enabled once, before the first probe could be due', () => {
  const clock = new ManualClock();
  const keepAlive = new DeferredKeepAlive(clock);
  const sockets: Target[] = [];
  for (let second = 0; second < 120; second++) {
    const socket = new Target();
    sockets.push(socket);
    keepAlive.add(socket);
    clock.advance(1_000);
    for (const [born, { delaysMs }] of sockets.entries()) {
      const ageMs = (second + 1 - born) * 1_000;
      if (ageMs >= KEEP_ALIVE_DELAY_MS) assert.deepEqual(delaysMs, [KEEP_ALIVE_DELAY_MS], `${ageMs} ms old`);
      if (ageMs < 15_000) assert.deepEqual(delaysMs, [], `${ageMs} ms old`);
    }
  }
});

test('of a socket that closes before keep-alive is not enabled, and nothing is kept', () => {
  const clock = new ManualClock();
  const keepAlive = new DeferredKeepAlive(clock);
  const early = new Target();
  const late = new Target();
  keepAlive.add(early);
  keepAlive.add(late);
  keepAlive.delete(early);
  clock.advance(25_000);
  keepAlive.delete(late);
  assert.equal(keepAlive.size, 0);
  clock.advance(120_000);
  assert.deepEqual([...early.delaysMs, ...late.delaysMs], []);
});
