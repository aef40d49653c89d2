import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { ProxyEvent } from '../../contracts/event.ts';
import { ProxyError } from '../../contracts/failure.ts';
import { Secret } from '../../contracts/secret.ts';
import type { Hops, Route } from '../../contracts/stages.ts';
import { nameOf, ProxyHealth } from './proxy-health.ts';

const hops = (host: string, ...more: string[]): Hops => {
  const hop = (name: string) => ({ scheme: 'http', proxy: { host: name, port: 3128 }, namedBy: 'user' }) as const;
  return [hop(host), ...more.map(hop)];
};
const by = (host: string, ...more: string[]): Route => ({ via: 'proxies', hops: hops(host, ...more) });
const DIRECT: Route = { via: 'direct' };

/** Probes that the test answers. */
class HealthFixture {
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

  isDown(...names: [string, ...string[]]): boolean {
    return this.health.downUntilMs(hops(...names)) !== undefined;
  }
}

const refused = () => new ProxyError('connection_refused', 'test');

test('a proxy that failed is down for five minutes, with one notice when it goes down and one when it is back', async () => {
  const { health, clock, notices, open } = new HealthFixture();
  health.failed(hops('a'), 'connection_refused', health.generation);
  health.failed(hops('a'), 'connect_timeout', health.generation);
  assert.equal(health.downUntilMs(hops('a')), 300_000);
  for (let second = 0; second < 299; second++) {
    await clock.pass(1_000);
    open.shift()?.settle(refused());
  }
  assert.equal(health.downUntilMs(hops('a')), 300_000);
  await clock.pass(1_000);
  assert.equal(health.downUntilMs(hops('a')), undefined);
  assert.equal(notices.length, 2);
  assert.match(
    notices[0] ?? '',
    /^warn: the upstream proxy http:\/\/a:3128 failed \(connection_refused\); it is marked down until \d\d:\d\d:\d\d, or until it responds to a probe$/,
  );
  assert.equal(notices[1], 'info: the upstream proxy http://a:3128 is back in service: 5 minutes are over');
  assert.equal(clock.pending, 0);
});

test('it is probed after 1 s, then at half the pace each time, never less often than every 30 s', async () => {
  const fixture = new HealthFixture();
  fixture.health.failed(hops('a'), 'connection_refused', 0);
  for (let second = 0; second < 130; second++) {
    await fixture.clock.pass(1_000);
    await fixture.answer(refused());
  }
  assert.deepEqual(
    fixture.probed.map((line) => line.split('@')[1]),
    ['1', '3', '7', '15', '31', '61', '91', '121'],
  );
});

test('a probe that is answered brings it back, and so does any other answer', async () => {
  const fixture = new HealthFixture();
  const { health } = fixture;
  health.failed(hops('a'), 'upstream_timeout', 0);
  health.failed(hops('b'), 'upstream_timeout', 0);
  await fixture.clock.pass(1_000);
  await fixture.answer();
  assert.deepEqual([fixture.isDown('a'), fixture.isDown('b')], [false, true]);
  await fixture.clock.pass(1);
  health.responded(hops('b'));
  assert.equal(fixture.isDown('b'), false);
  assert.equal(fixture.notices.filter((line) => /back in service: it responds$/.test(line)).length, 2);
  await fixture.answer(refused());
  assert.equal(fixture.isDown('b'), false, 'a probe that fails after that changes nothing');
});

test('a probe without an answer ends after 5 s', async () => {
  const fixture = new HealthFixture();
  fixture.health.failed(hops('a'), 'upstream_timeout', 0);
  await fixture.clock.pass(5_999);
  assert.equal(fixture.open[0]?.signal.aborted, false);
  await fixture.clock.pass(1);
  assert.equal(fixture.open[0]?.signal.aborted, true);
  await fixture.clock.pass(2_000);
  assert.deepEqual(fixture.probed, ['http://a:3128@1', 'http://a:3128@8']);
});

test('one that answers probes and fails requests keeps its slower pace, until it has worked for a minute', async () => {
  const fixture = new HealthFixture();
  const { health, clock } = fixture;
  for (const seconds of [1, 2, 4]) {
    health.failed(hops('a'), 'upstream_protocol', 0);
    await clock.pass(seconds * 1_000 - 1);
    assert.equal(fixture.open.length, 0);
    await clock.pass(1);
    await fixture.answer();
    assert.equal(fixture.isDown('a'), false);
  }
  await clock.pass(60_001);
  health.failed(hops('a'), 'upstream_protocol', 0);
  await clock.pass(1_000);
  assert.equal(fixture.open.length, 1);
});

test('another network clears everything, and failures of the one before are ignored', async () => {
  const fixture = new HealthFixture();
  const { health, clock } = fixture;
  const before = health.generation;
  health.failed(hops('a'), 'connection_refused', before);
  health.failed(hops('b'), 'connection_refused', before);
  await clock.pass(1_000);
  health.renew();
  assert.deepEqual([fixture.isDown('a'), fixture.isDown('b'), clock.pending], [false, false, 0]);
  assert.ok(fixture.open.every(({ signal }) => signal.aborted));
  health.failed(hops('a'), 'connection_refused', before);
  assert.equal(fixture.isDown('a'), false);
  health.failed(hops('a'), 'connection_refused', health.generation);
  assert.equal(fixture.isDown('a'), true);
  health[Symbol.dispose]();
  assert.equal(clock.pending, 0);
});

test('proxies that are down come last; direct stays where it was named; nothing is tried twice', () => {
  const fixture = new HealthFixture();
  const { health } = fixture;
  const order = (...routes: Route[]) => health.byHealth(routes).map((route) => routes.indexOf(route));
  assert.deepEqual(order(by('a'), by('b'), DIRECT), [0, 1, 2]);
  health.failed(hops('a'), 'connection_refused', 0);
  assert.deepEqual(order(by('a'), by('b'), DIRECT), [1, 2, 0]);
  assert.deepEqual(order(by('a'), DIRECT, by('b')), [1, 2, 0]);
  assert.deepEqual(order(by('b'), by('a'), by('b'), DIRECT, DIRECT), [0, 3, 1]);
  health.failed(hops('b'), 'connection_refused', 0);
  assert.deepEqual(order(by('a'), by('b')), [0, 1], 'all are down: the first is tried again');
});

test('two accounts at one proxy are two routes, which are down together', () => {
  const { health } = new HealthFixture();
  const as = (user: string, password: string): Route => {
    const [hop] = hops('a');
    return { via: 'proxies', hops: [{ ...hop, login: { user, password: new Secret(password) } }] };
  };
  const routes = [as('me', 'old'), as('me', 'new'), as('you', 'old'), as('me', 'old'), by('a')];
  const order = () => health.byHealth(routes).map((route) => routes.indexOf(route));
  assert.deepEqual(order(), [0, 1, 2, 4]);
  health.failed(hops('a'), 'connection_refused', 0);
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
  health.responded(hops('a'));
  health.probe(now);
  assert.deepEqual(asked, [now]);
  health[Symbol.dispose]();
});

test('what is reported and asked after its end begins nothing', () => {
  const { health, clock, probed } = new HealthFixture();
  health[Symbol.dispose]();
  health.probe(hops('a'));
  health.responded(hops('a'));
  health.failed(hops('a'), 'connection_refused', health.generation);
  assert.deepEqual([probed, clock.pending, health.downUntilMs(hops('a'))], [[], 0, undefined]);
});

test('a chain is known as a whole', () => {
  const fixture = new HealthFixture();
  fixture.health.failed(hops('a', 'b'), 'connect_failed', 0);
  assert.deepEqual([fixture.isDown('a', 'b'), fixture.isDown('a'), fixture.isDown('b')], [true, false, false]);
});

test('a proxy that is up is probed once at a time; silence marks it down, unless it answered a request meanwhile', async () => {
  const fixture = new HealthFixture();
  const { health, clock } = fixture;
  health.probe(hops('a'));
  health.probe(hops('a'));
  assert.deepEqual(fixture.probed, ['http://a:3128@0']);
  await clock.pass(100);
  await fixture.answer();
  assert.equal(health.lastSeenMs(hops('a')), 100);
  health.probe(hops('a'));
  await clock.pass(10);
  health.responded(hops('a'));
  await fixture.answer(refused());
  assert.equal(fixture.isDown('a'), false);
  health.probe(hops('a'));
  await fixture.answer(refused());
  assert.equal(fixture.isDown('a'), true);
});

test('of 256 proxies something is known; the oldest is forgotten with its timer', () => {
  const fixture = new HealthFixture();
  for (let at = 0; at <= 256; at++) fixture.health.failed(hops(`p${at}`), 'connection_refused', 0);
  assert.deepEqual([fixture.isDown('p0'), fixture.isDown('p1'), fixture.clock.pending], [false, true, 256]);
  fixture.health[Symbol.dispose]();
  assert.equal(fixture.clock.pending, 0);
});
