import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ProxyError } from '../../contracts/failure.ts';
import { LookupShares } from './lookup-shares.ts';
import { Lookups } from './lookups.ts';

const FOREVER = new AbortController().signal;
const A = '192.0.2.1';
const B = '192.0.2.2';

/** Lookups that hang until the test answers them, on so many threads. */
class LookupFixture {
  readonly clock = new ManualClock();
  /** Names in the order in which they were begun. */
  readonly begun: string[] = [];
  readonly lookups: Lookups<string>;
  readonly #open = new Map<string, () => void>();

  constructor(threads: number) {
    this.lookups = new Lookups({
      clock: this.clock,
      shares: new LookupShares(threads),
      ask: (host) => {
        this.begun.push(host);
        return new Promise((resolve) => this.#open.set(host, () => resolve(`answer for ${host}`)));
      },
    });
  }

  /** What becomes of each is left to the test, and none is ever unhandled. */
  want(hosts: readonly string[], client: string, signal: AbortSignal = FOREVER): Promise<string>[] {
    return hosts.map((host) => {
      const wanted = this.lookups.lookup(host, client, signal);
      wanted.catch(() => undefined);
      return wanted;
    });
  }

  async answer(host: string): Promise<void> {
    this.#open.get(host)?.();
    await nextTurn();
  }

  /** Until the public suffix list is there, which takes longer than a turn. */
  async beganAtLeast(count: number): Promise<void> {
    while (this.begun.length < count) await nextTurn();
  }
}

const names = (count: number, of: (at: number) => string): string[] => Array.from({ length: count }, (_, at) => of(at));
const owns = (count: number): string[] => names(count, (at) => `dead${at}.test`);

test('a client whose lookups hang has 24 of 64 threads, and its next name one within about a second', async () => {
  const fixture = new LookupFixture(64);
  fixture.want(owns(160), A);
  await fixture.beganAtLeast(24);
  assert.equal(fixture.begun.length, 24);
  // Each half second a name of those that wait gets a thread, also after ten seconds of it.
  for (let second = 1; second <= 11; second++) {
    await fixture.clock.pass(1_000);
    assert.equal(fixture.begun.length, 24 + 2 * second);
  }
  fixture.want(['healthy.test'], A);
  assert.notEqual(fixture.begun.at(-1), 'healthy.test');
  await fixture.clock.pass(1_100);
  assert.ok(fixture.begun.includes('healthy.test'));
});

test('another client has its names looked up at once, also while all lookups of the first hang', async () => {
  const fixture = new LookupFixture(64);
  fixture.want(owns(4_000), A);
  await fixture.beganAtLeast(24);
  await fixture.clock.pass(60_000);
  assert.equal(fixture.begun.length, 48);
  fixture.want(['healthy.test'], B);
  assert.equal(fixture.begun.at(-1), 'healthy.test');
});

test('a domain whose names hang leaves threads to other names of its client, and to other clients', async () => {
  const fixture = new LookupFixture(64);
  fixture.want(
    names(100, (at) => `n${at}.dead.example`),
    A,
  );
  await fixture.beganAtLeast(8);
  await nextTurn();
  assert.equal(fixture.begun.length, 8);
  fixture.want(['www.healthy.example'], A);
  assert.equal(fixture.begun.at(-1), 'www.healthy.example');
  fixture.want(['other.dead.example'], B);
  assert.equal(fixture.begun.at(-1), 'other.dead.example');
  // Its own next name of that domain waits, but not for long.
  fixture.want(['late.dead.example'], A);
  assert.equal(fixture.begun.length, 10);
  await fixture.clock.pass(1_100);
  assert.ok(fixture.begun.includes('late.dead.example'));
});

test('domains end where names are registered, and public suffixes are none', async () => {
  const fixture = new LookupFixture(64);
  fixture.want(
    [
      ...names(9, (at) => `a.n${at}.github.io`),
      ...names(9, (at) => `n${at}.co.uk`),
      ...names(9, (at) => `n${at}.shop.co.uk`),
    ],
    A,
  );
  await fixture.beganAtLeast(24);
  await nextTurn();
  assert.equal(fixture.begun.filter((host) => /^n\d\.shop\.co\.uk$/.test(host)).length, 8);
});

test('a name is not passed over for ever while its client wants new ones that hang all the time', async () => {
  const fixture = new LookupFixture(64);
  fixture.want(owns(24), A);
  await fixture.beganAtLeast(24);
  fixture.want(['healthy.test'], A);
  for (let at = 0; at < 60; at++) {
    fixture.want([`more${at}.test`], A);
    await fixture.clock.pass(100);
  }
  assert.ok(fixture.begun.includes('healthy.test'));
});

test('a name that no request waits for any more is never looked up', async () => {
  const fixture = new LookupFixture(2);
  const leaving = new AbortController();
  fixture.want(['first.test'], A);
  const gone = fixture.want(['gone0.test', 'gone1.test', 'both.test'], A, leaving.signal);
  fixture.want(['both.test', 'last.test'], A);
  leaving.abort(new ProxyError('client_gone', 'test'));
  for (const one of gone) await assert.rejects(one, { code: 'client_gone' });
  for (const host of ['first.test', 'last.test', 'both.test']) await fixture.answer(host);
  await fixture.clock.pass(60_000);
  assert.deepEqual(fixture.begun, ['first.test', 'last.test', 'both.test']);
  assert.equal(fixture.clock.pending, 0, 'nothing waits, so no timer does');
});

test('a lookup that has begun keeps its thread when its request goes, and counts for its client', async () => {
  const fixture = new LookupFixture(2);
  const leaving = new AbortController();
  fixture.want(['hangs.test'], A, leaving.signal);
  leaving.abort(new ProxyError('client_gone', 'test'));
  const [waits] = fixture.want(['waits.test'], A);
  await fixture.clock.pass(60_000);
  assert.deepEqual(fixture.begun, ['hangs.test']);
  await fixture.answer('hangs.test');
  await fixture.answer('waits.test');
  assert.equal(await waits, 'answer for waits.test');
});

test('clients have turns: one with many names that wait gets no more of them than one with few', async () => {
  const fixture = new LookupFixture(3);
  for (const [at, client] of [A, B, '192.0.2.3'].entries()) {
    fixture.want([`first${at}.test`], client);
    await fixture.beganAtLeast(at + 1);
  }
  fixture.want(['a1.test', 'a2.test', 'a3.test', 'a4.test'], A);
  fixture.want(['b1.test'], B);
  fixture.want(['c1.test'], '192.0.2.3');
  assert.deepEqual(fixture.begun, ['first0.test', 'first1.test', 'first2.test']);
  for (const host of ['first0.test', 'a4.test', 'first1.test', 'first2.test']) await fixture.answer(host);
  assert.deepEqual(fixture.begun.slice(3), ['a4.test', 'a3.test', 'b1.test', 'c1.test']);
});

test('a name that waits for one client begins at once with the turn of another that wants it too', async () => {
  const fixture = new LookupFixture(2);
  fixture.want(['hangs.test'], A);
  const [forA] = fixture.want(['shared.test'], A);
  assert.deepEqual(fixture.begun, ['hangs.test']);
  const [forB] = fixture.want(['shared.test'], B);
  await fixture.beganAtLeast(2);
  await fixture.answer('shared.test');
  assert.deepEqual(await Promise.all([forA, forB]), Array(2).fill('answer for shared.test'));
  assert.deepEqual(fixture.begun, ['hangs.test', 'shared.test']);
});

test('all addresses of a /64 are one client, and IPv4 in IPv6 is IPv4', async () => {
  const fixture = new LookupFixture(3);
  fixture.want(['one.test'], '2001:db8::1');
  fixture.want(['three.test'], A);
  await fixture.beganAtLeast(2);
  fixture.want(['two.test'], '2001:db8::2:1');
  fixture.want(['four.test'], `::ffff:${A}`);
  assert.deepEqual(fixture.begun, ['one.test', 'three.test']);
});

test('4,096 names may wait, and then the client with most of them loses its oldest', async () => {
  const fixture = new LookupFixture(2);
  const [running, ...waiting] = fixture.want(owns(4_097), A);
  const oldest = waiting[0];
  const [other] = fixture.want(['b.test'], B);
  assert.ok(running !== undefined && oldest !== undefined && other !== undefined);
  await fixture.beganAtLeast(2);
  assert.deepEqual(fixture.begun, ['dead0.test', 'b.test']);
  fixture.want(['c.test'], B);
  await assert.rejects(oldest, (error) => error instanceof ProxyError && error.code === 'at_capacity');
  await fixture.answer('b.test');
  assert.equal(fixture.begun.at(-1), 'c.test');
  await fixture.answer('dead0.test');
  assert.equal(fixture.begun.at(-1), 'dead4096.test');
});

test('lookups of the network before hold their threads, and their clients begin anew', async () => {
  const fixture = new LookupFixture(64);
  const [old] = fixture.want(owns(24), A);
  await fixture.beganAtLeast(24);
  fixture.lookups.forget();
  const [anew] = fixture.want(['dead0.test', ...names(39, (at) => `n${at}.test`)], A);
  await fixture.beganAtLeast(48);
  await fixture.clock.pass(60_000);
  // 64 threads, 24 of them taken, and not the last ones for a client that has some.
  assert.equal(fixture.begun.length, 24 + 30);
  assert.equal(fixture.begun[24], 'dead0.test');
  await fixture.answer('dead0.test');
  assert.equal(await anew, 'answer for dead0.test');
  assert.ok(old !== undefined);
});
