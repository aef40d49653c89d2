import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ProxyEvent } from '../core/event.ts';
import { ProxyError } from '../core/failure.ts';
import { Secret } from '../core/secret.ts';
import type { Hops, Route } from '../core/stages.ts';
import { nameOf, ProxyHealth } from './health.ts';

const hops = (host: string, ...more: string[]): Hops => {
  const hop = (name: string) => ({ scheme: 'http', proxy: { host: name, port: 3128 }, namedBy: 'user' }) as const;
  return [hop(host), ...more.map(hop)];
};
const by = (host: string, ...more: string[]): Route => ({ via: 'proxies', hops: hops(host, ...more) });
const DIRECT: Route = { via: 'direct' };

/** Probes in a test's hands. */
class House {
  readonly clock = new ManualClock();
  readonly notices: string[] = [];
  /** `proxy@seconds`, as they begin. */
  readonly probed: string[] = [];
  readonly open: { readonly name: string; readonly signal: AbortSignal; settle(error?: ProxyError): void }[] = [];
  readonly health = new ProxyHealth({
    clock: this.clock,
    observe: (event: ProxyEvent) => {
      if (event.type === 'notice') this.notices.push(`${event.level}: ${event.message}`);
    },
    probe: (asked, signal) => {
      this.probed.push(`${nameOf(asked)}@${this.clock.now() / 1000}`);
      return new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        const settle = (error?: ProxyError) => (error === undefined ? resolve() : reject(error));
        this.open.push({ name: nameOf(asked), signal, settle });
      });
    },
  });

  /** Answers the oldest probe that waits. */
  async answer(error?: ProxyError): Promise<void> {
    this.open.shift()?.settle(error);
    await this.clock.pass(0);
  }

  isOut(...names: [string, ...string[]]): boolean {
    return this.health.sitsOutUntilMs(hops(...names)) !== undefined;
  }
}

const refused = () => new ProxyError('refused', 'test');

test('a proxy that failed sits out for five minutes, one notice when it goes and one when it is back', async () => {
  const { health, clock, notices, open } = new House();
  health.failed(hops('a'), 'refused', health.generation);
  health.failed(hops('a'), 'connect_timeout', health.generation);
  assert.equal(health.sitsOutUntilMs(hops('a')), 300_000);
  for (let second = 0; second < 299; second++) {
    await clock.pass(1_000);
    open.shift()?.settle(refused());
  }
  assert.equal(health.sitsOutUntilMs(hops('a')), 300_000);
  await clock.pass(1_000);
  assert.equal(health.sitsOutUntilMs(hops('a')), undefined);
  assert.equal(notices.length, 2);
  assert.match(
    notices[0] ?? '',
    /^warn: the upstream proxy http:\/\/a:3128 failed \(refused\); it sits out until \d\d:\d\d:\d\d, or until it answers$/,
  );
  assert.equal(notices[1], 'info: the upstream proxy http://a:3128 is back in service: it has sat out its time');
  assert.equal(clock.pending, 0);
});

test('it is probed after 1 s, then at half the pace each time, never less often than every 30 s', async () => {
  const house = new House();
  house.health.failed(hops('a'), 'refused', 0);
  for (let second = 0; second < 130; second++) {
    await house.clock.pass(1_000);
    await house.answer(refused());
  }
  assert.deepEqual(
    house.probed.map((line) => line.split('@')[1]),
    ['1', '3', '7', '15', '31', '61', '91', '121'],
  );
});

test('a probe that is answered brings it back, and so does any other answer', async () => {
  const house = new House();
  const { health } = house;
  health.failed(hops('a'), 'parent_silent', 0);
  health.failed(hops('b'), 'parent_silent', 0);
  await house.clock.pass(1_000);
  await house.answer();
  assert.deepEqual([house.isOut('a'), house.isOut('b')], [false, true]);
  await house.clock.pass(1);
  health.answered(hops('b'));
  assert.equal(house.isOut('b'), false);
  assert.equal(house.notices.filter((line) => /back in service: it answers$/.test(line)).length, 2);
  await house.answer(refused());
  assert.equal(house.isOut('b'), false, 'a probe that fails after that changes nothing');
});

test('a probe without an answer ends after 5 s', async () => {
  const house = new House();
  house.health.failed(hops('a'), 'parent_silent', 0);
  await house.clock.pass(5_999);
  assert.equal(house.open[0]?.signal.aborted, false);
  await house.clock.pass(1);
  assert.equal(house.open[0]?.signal.aborted, true);
  await house.clock.pass(2_000);
  assert.deepEqual(house.probed, ['http://a:3128@1', 'http://a:3128@8']);
});

test('one that answers probes and fails requests keeps its slower pace, until it has worked for a minute', async () => {
  const house = new House();
  const { health, clock } = house;
  for (const seconds of [1, 2, 4]) {
    health.failed(hops('a'), 'parent_protocol', 0);
    await clock.pass(seconds * 1_000 - 1);
    assert.equal(house.open.length, 0);
    await clock.pass(1);
    await house.answer();
    assert.equal(house.isOut('a'), false);
  }
  await clock.pass(60_001);
  health.failed(hops('a'), 'parent_protocol', 0);
  await clock.pass(1_000);
  assert.equal(house.open.length, 1);
});

test('another network clears everything, and failures of the one before are ignored', async () => {
  const house = new House();
  const { health, clock } = house;
  const before = health.generation;
  health.failed(hops('a'), 'refused', before);
  health.failed(hops('b'), 'refused', before);
  await clock.pass(1_000);
  health.renew();
  assert.deepEqual([house.isOut('a'), house.isOut('b'), clock.pending], [false, false, 0]);
  assert.ok(house.open.every(({ signal }) => signal.aborted));
  health.failed(hops('a'), 'refused', before);
  assert.equal(house.isOut('a'), false);
  health.failed(hops('a'), 'refused', health.generation);
  assert.equal(house.isOut('a'), true);
  health[Symbol.dispose]();
  assert.equal(clock.pending, 0);
});

test('those that sit out come last; direct stays where it was named; nothing is tried twice', () => {
  const house = new House();
  const { health } = house;
  const order = (...routes: Route[]) => health.inOrder(routes).map((route) => routes.indexOf(route));
  assert.deepEqual(order(by('a'), by('b'), DIRECT), [0, 1, 2]);
  health.failed(hops('a'), 'refused', 0);
  assert.deepEqual(order(by('a'), by('b'), DIRECT), [1, 2, 0]);
  assert.deepEqual(order(by('a'), DIRECT, by('b')), [1, 2, 0]);
  assert.deepEqual(order(by('b'), by('a'), by('b'), DIRECT, DIRECT), [0, 3, 1]);
  health.failed(hops('b'), 'refused', 0);
  assert.deepEqual(order(by('a'), by('b')), [0, 1], 'all sit out: the first is tried again');
});

test('two accounts at one proxy are two ways, which sit out together', () => {
  const { health } = new House();
  const as = (user: string, password: string): Route => {
    const [hop] = hops('a');
    return { via: 'proxies', hops: [{ ...hop, login: { user, password: new Secret(password) } }] };
  };
  const routes = [as('me', 'old'), as('me', 'new'), as('you', 'old'), as('me', 'old'), by('a')];
  const order = () => health.inOrder(routes).map((route) => routes.indexOf(route));
  assert.deepEqual(order(), [0, 1, 2, 4]);
  health.failed(hops('a'), 'refused', 0);
  routes.push(by('b'));
  assert.deepEqual(order(), [5, 0, 1, 2, 4]);
});

test('a proxy is asked as it was named last', () => {
  const asked: Hops[] = [];
  const health = new ProxyHealth({
    clock: new ManualClock(),
    observe: () => undefined,
    probe: (asking) => {
      asked.push(asking);
      return Promise.resolve();
    },
  });
  const [hop] = hops('a');
  const now: Hops = [{ ...hop, namedBy: 'pac' }];
  health.answered(hops('a'));
  health.ask(now);
  assert.deepEqual(asked, [now]);
  health[Symbol.dispose]();
});

test('what is told and asked after its end begins nothing', () => {
  const { health, clock, probed } = new House();
  health[Symbol.dispose]();
  health.ask(hops('a'));
  health.answered(hops('a'));
  health.failed(hops('a'), 'refused', health.generation);
  assert.deepEqual([probed, clock.pending, health.sitsOutUntilMs(hops('a'))], [[], 0, undefined]);
});

test('a chain is known as a whole', () => {
  const house = new House();
  house.health.failed(hops('a', 'b'), 'connect_failed', 0);
  assert.deepEqual([house.isOut('a', 'b'), house.isOut('a'), house.isOut('b')], [true, false, false]);
});

test('a proxy in service is asked once at a time; no answer puts it out, unless somebody was answered meanwhile', async () => {
  const house = new House();
  const { health, clock } = house;
  health.ask(hops('a'));
  health.ask(hops('a'));
  assert.deepEqual(house.probed, ['http://a:3128@0']);
  await clock.pass(100);
  await house.answer();
  assert.equal(health.heardMs(hops('a')), 100);
  health.ask(hops('a'));
  await clock.pass(10);
  health.answered(hops('a'));
  await house.answer(refused());
  assert.equal(house.isOut('a'), false);
  health.ask(hops('a'));
  await house.answer(refused());
  assert.equal(house.isOut('a'), true);
});

test('of 256 proxies something is known; the oldest is forgotten with its timer', () => {
  const house = new House();
  for (let at = 0; at <= 256; at++) house.health.failed(hops(`p${at}`), 'refused', 0);
  assert.deepEqual([house.isOut('p0'), house.isOut('p1'), house.clock.pending], [false, true, 256]);
  house.health[Symbol.dispose]();
  assert.equal(house.clock.pending, 0);
});
