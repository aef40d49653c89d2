import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { KEEP_ALIVE_DELAY_MS, LateKeepAlive, type Probed } from './late-keep-alive.ts';
import { NO_SLOT } from './roster.ts';

class Asked implements Probed {
  slot = NO_SLOT;
  wasSeen = false;
  readonly delaysMs: number[] = [];
  askForProbes(delayMs: number): void {
    this.delaysMs.push(delayMs);
  }
}

test('a socket that lasts is asked for probes once, before its first could be due', () => {
  const clock = new ManualClock();
  const keepAlive = new LateKeepAlive(clock);
  const sockets: Asked[] = [];
  for (let second = 0; second < 120; second++) {
    const socket = new Asked();
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

test('a socket that closes in time is not asked, and nothing is kept of it', () => {
  const clock = new ManualClock();
  const keepAlive = new LateKeepAlive(clock);
  const early = new Asked();
  const late = new Asked();
  keepAlive.add(early);
  keepAlive.add(late);
  keepAlive.delete(early);
  clock.advance(25_000);
  keepAlive.delete(late);
  assert.equal(keepAlive.size, 0);
  clock.advance(120_000);
  assert.deepEqual([...early.delaysMs, ...late.delaysMs], []);
});
