import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { recordOf } from '../../test/support/records.ts';
import type { ProxyError } from '../contracts/failure.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import { Secret } from '../contracts/secret.ts';
import { NOTHING_MEASURED } from '../observe/process-measures.ts';
import { noCounts } from '../observe/request-counter.ts';
import { type LiveEntry, Sessions } from '../sessions/sessions.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import type { LiveResponse } from './live-messages.ts';
import { LiveRequests } from './live-requests.ts';
import { respondLive } from './respond-live.ts';

const hop = { scheme: 'http', proxy: { host: 'proxy.example', port: 8080 }, namedBy: 'user' } as const;

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
    const login = { user: 'me', password: new Secret('hidden') };
    const record: ProxyRecord = { ...recordOf(this.id), route: { via: 'proxies', hops: [{ ...hop, login }] } };
    return { step: 'relay', record } as const;
  }

  stop(why: ProxyError): void {
    this.stopped = why;
  }
}

/** What a channel between processes makes of a message. */
const overChannel = <T>(message: T): T => JSON.parse(JSON.stringify(message));

function primary() {
  const clock = new ManualClock();
  const live = new LiveRequests(clock);
  const worker = (id: string) => {
    const sessions = new Sessions();
    const entry = new Entry(id);
    sessions.add(entry);
    const counts = noCounts();
    const session = live.openSession((query) => {
      const answer: Promise<LiveResponse> = respondLive(overChannel(query), {
        sessions,
        setMode: () => undefined,
        accounts: () => Promise.resolve([]),
        steps: () => [],
        totals: () => [],
        setRate: (limit) => limit === `of-${id}`,
        counts,
        readDelayMs: () => 0,
        ways: () => ({
          upstreams: [{ name: 'http://p:1', state: id === 'b1' ? 'down' : 'up', latencyMs: [] }],
          pac: { state: 'none' },
        }),
        measure: () => Promise.resolve({ ...NOTHING_MEASURED, cpuSeconds: 2, loopDelayMaxMs: id === 'b1' ? 7 : 3 }),
        why: () => Promise.resolve({ report: `{"by":"${id}"}` }),
      });
      void answer.then((ready) => session.receive(overChannel(ready)));
    });
    return Object.assign(entry, { ends: (ended: string) => sessions.addEnded(recordOf(ended)), session, counts });
  };
  return { clock, live, worker };
}

test('the primary lists the requests of all workers, without the secrets of their routes', async () => {
  const { live, worker } = primary();
  worker('a1');
  worker('b1');
  const expected = (id: string) => ({
    step: 'relay',
    record: { ...recordOf(id), route: { via: 'proxies', hops: [hop] } },
  });
  assert.deepEqual((await live.look(undefined)).live, [expected('a1'), expected('b1')]);
});

test('the primary ends a request in the worker that has it', async () => {
  const { live, worker } = primary();
  const [one, other] = [worker('a1'), worker('b1')];
  assert.equal(await live.end(['b1', 'c1'], 'asked for'), 1);
  assert.deepEqual([one.stopped, other.stopped?.detail], [undefined, 'asked for']);
  assert.equal(await live.end(['c1'], 'asked for'), 0);
});

test('an upstream proxy is down where one worker says so', async () => {
  const { live, worker } = primary();
  worker('a1');
  worker('b1');
  const { upstreams } = await live.ways();
  assert.deepEqual(upstreams, [{ name: 'http://p:1', state: 'down', latencyMs: [] }]);
});

test('one worker says what would be decided, for all', async () => {
  const { live, worker } = primary();
  worker('a1');
  worker('b1');
  assert.deepEqual(await live.why({ url: 'http://a.example', from: '127.0.0.1' }), { report: '{"by":"a1"}' });
});

test('each record of an ended request is sent once to a reader that says where it stands', async () => {
  const { live, worker } = primary();
  const [one, other] = [worker('a1'), worker('b1')];
  one.ends('a0');
  const first = await live.look(undefined);
  assert.deepEqual(first.ended, [recordOf('a0')]);
  other.ends('b0');
  const next = await live.look(first.cursor);
  assert.deepEqual(next.ended, [recordOf('b0')]);
  assert.deepEqual((await live.look(next.cursor)).ended, []);
});

test('a rate is set in every worker, and it is said whether one has that limit', async () => {
  const { live, worker } = primary();
  worker('a1');
  worker('b1');
  assert.deepEqual([await live.setRate('of-b1', 9), await live.setRate('other', 9)], [true, false]);
});

test('a worker that is gone or hangs is left out', async () => {
  const { clock, live, worker } = primary();
  worker('a1');
  const silent = live.openSession(() => undefined);
  const listed = live.look(undefined);
  silent[Symbol.dispose]();
  assert.equal((await listed).live.length, 1);
  live.openSession(() => undefined);
  const later = live.look(undefined);
  await clock.pass(5_000);
  assert.equal((await later).live.length, 1);
});

test('what a worker has counted stays in the sums when it is gone, its open tunnels too', async () => {
  const { live, worker } = primary();
  const [first, second] = [worker('a1'), worker('b1')];
  first.counts.bytesDown = 100;
  second.counts.bytesDown = 10;
  // Each has a tunnel as well, of 1 byte up and 2 down.
  const look = async () => {
    const { counts, live: open } = await live.look('live');
    return open.reduce((sum, { record }) => sum + record.bytesDown, counts.bytesDown);
  };
  assert.equal(await look(), 114);
  assert.deepEqual(await measured(live), [4, 7]);
  first.session[Symbol.dispose]();
  assert.equal(await look(), 114);
  assert.deepEqual(await measured(live), [4, 7]);
});

const measured = async (live: LiveRequests): Promise<number[]> => {
  const { cpuSeconds, loopDelayMaxMs } = await live.measure();
  return [cpuSeconds, loopDelayMaxMs];
};
