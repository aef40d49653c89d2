import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { recordOf } from '../../test/support/records.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import { sumOfTotals, TrafficTotals } from './traffic-totals.ts';

const MINUTE = 60_000;

function counted() {
  const clock = new ManualClock();
  const totals = new TrafficTotals(clock);
  const close = (id: string, more: Partial<ProxyRecord>) =>
    totals.observe({ type: 'close', id, record: recordOf(id, more) });
  return { clock, totals, close };
}

const to = (host: string, bytesDown: number, more: Partial<ProxyRecord> = {}): Partial<ProxyRecord> => ({
  target: { host, port: 443 },
  bytesUp: 1,
  bytesDown,
  ...more,
});

test('requests are added up by client, user, host and route, the most bytes first', () => {
  const { totals, close } = counted();
  close('1', to('a.example', 10, { principal: 'alice' }));
  close('2', to('b.example', 100, { failure: 'terminated' }));
  close('3', to('a.example', 20, { principal: 'bob' }));
  assert.deepEqual(totals.read('host', 'hour'), [
    { key: 'b.example', requests: 1, failures: 1, bytesUp: 1, bytesDown: 100 },
    { key: 'a.example', requests: 2, failures: 0, bytesUp: 2, bytesDown: 30 },
  ]);
  assert.deepEqual(
    totals.read('user', 'day').map(({ key }) => key),
    ['bob', 'alice'],
  );
  assert.deepEqual(
    totals.read('client', 'hour').map(({ requests }) => requests),
    [3],
  );
  assert.deepEqual(totals.read('route', 'hour'), [], 'none of them had one');
});

test('what is older than an hour, or a day, counts no more', async () => {
  const { clock, totals, close } = counted();
  totals.follow(() => []);
  const hosts = (window: 'hour' | 'day') => totals.read('host', window).map(({ key }) => key);
  close('1', to('old.example', 1));
  await clock.pass(40 * MINUTE);
  close('2', to('new.example', 2));
  assert.deepEqual(hosts('hour'), ['new.example', 'old.example']);
  await clock.pass(30 * MINUTE);
  assert.deepEqual(hosts('hour'), ['new.example']);
  assert.deepEqual(hosts('day'), ['new.example', 'old.example']);
  await clock.pass(26 * 60 * MINUTE);
  assert.deepEqual(hosts('day'), []);
  await totals[Symbol.asyncDispose]();
});

test('the bytes of a tunnel in progress count when they move, and once', async () => {
  const { clock, totals, close } = counted();
  let live = [{ record: recordOf('1', to('a.example', 10)) }];
  totals.follow(() => live);
  const bytes = () => totals.read('host', 'hour').map(({ requests, bytesDown }) => [requests, bytesDown]);
  assert.deepEqual(bytes(), [[0, 10]]);
  live = [{ record: recordOf('1', to('a.example', 25)) }];
  assert.deepEqual(bytes(), [[0, 25]]);
  await clock.pass(65 * MINUTE);
  assert.deepEqual(bytes(), []);
  live = [];
  close('1', to('a.example', 30));
  assert.deepEqual(bytes(), [[1, 5]]);
  await totals[Symbol.asyncDispose]();
});

test('clients cannot make it grow: beyond 250 keys all others are counted together', () => {
  const { totals, close } = counted();
  for (let n = 0; n < 1_000; n++) close(String(n), to(`h${n}.example`, 1));
  const all = totals.read('host', 'hour');
  assert.equal(all.length, 251);
  assert.deepEqual(all[0], { key: undefined, requests: 750, failures: 0, bytesUp: 750, bytesDown: 750 });
});

test('the totals of several processes are added up, and the largest keys stay', () => {
  const of = (key: string, bytesDown: number) => ({ key, requests: 1, failures: 0, bytesUp: 0, bytesDown });
  const many = Array.from({ length: 250 }, (_, n) => of(`h${n}`, 1));
  const sum = sumOfTotals([many, [of('h1', 5), of('large', 100)]]);
  assert.deepEqual(
    sum.slice(0, 2).map(({ key, bytesDown }) => [key, bytesDown]),
    [
      ['large', 100],
      ['h1', 6],
    ],
  );
  assert.equal(sum.length, 251);
});
