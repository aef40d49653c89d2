import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { recordOf } from '../../test/support/records.ts';
import { noCounts } from '../observe/request-counter.ts';
import type { EndedCursor } from './controlled-proxy.ts';
import { EventFeed } from './event-feed.ts';

/** A viewer that keeps what it is sent; `unread` is what it has not taken. */
class Viewer extends EventEmitter {
  readonly chunks: Buffer[] = [];
  headersSent = false;
  writableLength = 0;
  isDestroyed = false;

  writeHead(): void {
    this.headersSent = true;
  }

  write(chunk: Buffer): void {
    this.chunks.push(chunk);
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }

  get events(): { readonly event: string; readonly data: Record<string, unknown> }[] {
    return this.chunks.flatMap((chunk) => {
      const [, event = '', data = ''] = /^event: (\w+)\ndata: (.*)\n\n$/s.exec(chunk.toString()) ?? [];
      return event === '' ? [] : [{ event, data: JSON.parse(data) }];
    });
  }
}

function feed() {
  const clock = new ManualClock();
  const live = new Map<string, number>();
  const state = { looks: 0, cursors: [] as (EndedCursor | 'live' | undefined)[] };
  const proxy = {
    urls: [],
    workers: 1,
    name: 'viaduct',
    relay: 'portable',
    open: 0,
    look(after: EndedCursor | 'live' | undefined) {
      state.looks++;
      state.cursors.push(after);
      const rows = [...live].map(
        ([id, bytes]) => ({ step: 'relay', record: recordOf(id, { bytesUp: 0, bytesDown: bytes }) }) as const,
      );
      return { live: rows, ended: [], cursor: new Map([[0, state.looks]]), counts: noCounts(), loopDelayMs: 0 };
    },
    end: () => 0,
    measure: () => Promise.reject(new Error('not asked')),
    limits: () => Promise.resolve([]),
    limitStore: undefined,
    setRate: () => false,
    ways: () => Promise.reject(new Error('not asked')),
    why: () => Promise.reject(new Error('not asked')),
    modes: { mode: 'configured', available: [], serves: 'local' } as const,
    setMode: () => undefined,
    accounts: () => Promise.resolve([]),
    rules: [],
    steps: () => [],
    totals: () => [],
  };
  const events = new EventFeed(
    {
      clock,
      observe: () => undefined,
      version: '1',
      allowsModes: false,
      token: { read: () => '', rotate: () => '' },
      proxy,
      state: () => 'serving',
      drained: () => undefined,
      link: () => undefined,
      onRotated: () => undefined,
    },
    { nameOf: () => undefined },
  );
  const view = async () => {
    const viewer = new Viewer();
    // As much of a response as the feed uses.
    await events.open(viewer as unknown as ServerResponse);
    return viewer;
  };
  return { clock, live, state, events, view };
}

const rows = (data: Record<string, unknown> | undefined) => Object(data).tunnels;

test('rows that have changed are sent once a second, with their rates, and encoded once for all viewers', async () => {
  const { clock, live, state, view } = feed();
  live.set('a', 0).set('b', 0);
  const [one, other] = [await view(), await view()];
  assert.equal(one.events[0]?.event, 'snapshot');
  assert.equal(rows(one.events[0]?.data).length, 2);
  live.set('a', 5_000);
  await clock.pass(1_000);
  const [change] = one.events.slice(1);
  assert.equal(change?.event, 'change');
  assert.deepEqual(
    rows(change?.data).map(({ id, rateDown }: Record<string, unknown>) => [id, rateDown]),
    [['a', 5_000]],
  );
  assert.equal(one.chunks.at(-1), other.chunks.at(-1));
  // It stands still now: said once.
  await clock.pass(1_000);
  assert.deepEqual(
    rows(one.events.at(-1)?.data).map(({ id, rateDown }: Record<string, unknown>) => [id, rateDown]),
    [['a', 0]],
  );
  await clock.pass(1_000);
  assert.deepEqual(rows(one.events.at(-1)?.data), []);
  assert.equal(state.looks, 5);
});

test('without a viewer nothing is looked at, and what a viewer left open is not continued', async () => {
  const { clock, state, view } = feed();
  const viewer = await view();
  await clock.pass(1_000);
  assert.equal(state.looks, 2);
  viewer.emit('close');
  await clock.pass(60_000);
  assert.equal(state.looks, 2);
  await view();
  assert.deepEqual(state.cursors.at(-1), undefined);
});

test('a viewer that does not read is dropped, and the others go on', async () => {
  const { clock, view } = feed();
  const [slow, other] = [await view(), await view()];
  slow.writableLength = 17 * 1_048_576;
  await clock.pass(1_000);
  assert.deepEqual([slow.isDestroyed, other.isDestroyed], [true, false]);
  assert.equal(other.events.at(-1)?.event, 'change');
});

test('a comment comes every 15 seconds, a line of the log at once, and more than 32 viewers are refused', async () => {
  const { clock, events, view } = feed();
  const viewer = await view();
  for (let second = 0; second < 15; second++) await clock.pass(1_000);
  assert.equal(viewer.chunks.filter((chunk) => chunk.toString() === ':\n\n').length, 1);
  events.log('warn', 'a line');
  assert.deepEqual(Object(viewer.events.at(-1)).data.message, 'a line');
  for (let viewers = 1; viewers < 32; viewers++) await view();
  await assert.rejects(view(), { status: 503 });
  events.closeAll();
  assert.ok(viewer.isDestroyed);
});
