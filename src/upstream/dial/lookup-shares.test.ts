import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LookupShares, lookupThreads, type RunningShare } from './lookup-shares.ts';

test('half of the threads look up names, as libuv counts them', () => {
  const given: readonly [setting: string | undefined, threads: number][] = [
    [undefined, 2],
    ['128', 64],
    ['16', 8],
    ['5', 3],
    ['1', 1],
    ['0', 1],
    ['', 1],
    ['x', 1],
    ['12x', 6],
    ['-1', 512],
    ['4096', 512],
  ];
  for (const [setting, threads] of given) assert.equal(lookupThreads(setting), threads, String(setting));
});

/** What clients hold one after another when all their lookups hang, each for `afterMs` and each name of its own domain. */
function hang(threads: number, clients: number, afterMs: number): number[] {
  const shares = new LookupShares(threads);
  let free = threads;
  return Array.from({ length: clients }, () => {
    let count = 0;
    while (shares.allowsClient({ count, sinceMs: 0 }, free, afterMs)) {
      count += 1;
      free -= 1;
    }
    return count;
  });
}

test('a client whose lookups hang gets 24 of 64 threads at once, two more each second, and 48 in the end', () => {
  assert.deepEqual(
    [0, 499, 500, 10_000, 12_000, 60_000].flatMap((afterMs) => hang(64, 1, afterMs)),
    [24, 24, 25, 44, 48, 48],
  );
});

test('for any number of threads, no client takes the last one from a client that holds none', () => {
  for (const threads of [2, 3, 4, 8, 16, 64, 512]) {
    const [first = 0, second = 0] = hang(threads, 2, 60_000);
    assert.ok(first >= 1 && first < threads, `${first} of ${threads}`);
    assert.ok(second >= 1, `${second} beside ${first} of ${threads}`);
  }
  assert.deepEqual(hang(64, 4, 60_000), [48, 12, 3, 1]);
  assert.deepEqual(hang(1, 2, 60_000), [1, 0], 'with one thread there is nothing to divide');
});

test('a domain gets less than a client, and all clients together leave threads beside it', () => {
  for (const threads of [2, 3, 4, 8, 16, 64, 512]) {
    const shares = new LookupShares(threads);
    const most = (nowMs: number, others: number) => {
      let count = 0;
      const allowed = () => {
        const free = threads - others - count;
        const own: RunningShare = { count, sinceMs: 0 };
        return shares.allowsClient(own, free, nowMs) && shares.allowsDomain(own, others + count, free, nowMs);
      };
      while (allowed()) count += 1;
      return count;
    };
    const [client = 0] = hang(threads, 1, 60_000);
    assert.ok(most(60_000, 0) <= client && most(60_000, 0) >= 1);
    let all = 0;
    for (let more = most(60_000, 0); more > 0; more = most(60_000, all)) all += more;
    assert.ok(all < threads, `${all} of ${threads}`);
    if (threads === 64) assert.deepEqual([most(0, 0), most(60_000, 0), all], [8, 32, 42]);
  }
});

test('one program that looks up names for itself is not bounded', () => {
  assert.deepEqual(new LookupShares(Number.POSITIVE_INFINITY).isQuiet(1_000_000), true);
});
