import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { recordOf } from '../../test/support/records.ts';
import type { ProxyError } from '../contracts/failure.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import { type LiveEntry, Sessions } from './sessions.ts';

/** A request that notes why it was ended. */
class Entry implements LiveEntry {
  slot: number = NO_SLOT;
  readonly id: string;
  readonly kind = 'tunnel';
  readonly step = 'relay';
  readonly permit = undefined;
  stopped: ProxyError | undefined;

  constructor(id: string) {
    this.id = id;
  }

  snapshot() {
    return { step: 'relay', record: recordOf(this.id) } as const;
  }

  stop(why: ProxyError): void {
    this.stopped = why;
  }
}

test('requests in progress are counted and listed until they end', () => {
  const sessions = new Sessions();
  const [first, second] = [new Entry('a'), new Entry('b')];
  sessions.add(first);
  sessions.add(second);
  sessions.remove(first, recordOf('a'));
  assert.equal(sessions.size, 1);
  assert.deepEqual(sessions.snapshot(), [{ step: 'relay', record: recordOf('b') }]);
});

test('one request is ended by its id, with a reason; the others go on', () => {
  const sessions = new Sessions();
  const [first, second] = [new Entry('a'), new Entry('b')];
  sessions.add(first);
  sessions.add(second);
  assert.equal(sessions.end('b', 'asked for'), true);
  assert.deepEqual(
    [first.stopped, second.stopped?.code, second.stopped?.detail],
    [undefined, 'terminated', 'asked for'],
  );
  assert.equal(sessions.end('c', 'asked for'), false);
});

test('the last 500 records are kept, the latest first', () => {
  const clock = new ManualClock();
  const sessions = new Sessions(clock);
  assert.deepEqual(sessions.ended(), []);
  for (let at = 0; at < 1_234; at++) {
    clock.advance(2);
    sessions.addEnded(recordOf(String(at)));
  }
  assert.deepEqual(
    sessions.ended().map(({ id }) => id),
    Array.from({ length: 500 }, (_, at) => String(1_233 - at)),
  );
});

test('of more than 500 that end in a second a sample is kept, and a failure among them all the same', () => {
  const clock = new ManualClock();
  const sessions = new Sessions(clock);
  for (let at = 0; at < 5_000; at++) sessions.addEnded(recordOf(String(at)));
  assert.equal(sessions.endedCount, 500);
  sessions.addEnded({ ...recordOf('failed'), failure: 'connection_refused' });
  assert.equal(sessions.ended()[0]?.id, 'failed');
  clock.advance(100);
  for (let at = 0; at < 1_000; at++) sessions.addEnded(recordOf(`later ${at}`));
  assert.equal(sessions.endedCount, 551);
});
