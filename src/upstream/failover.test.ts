import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { DialScope } from '../contracts/dialing.ts';
import { type FailureCode, ProxyError } from '../contracts/failure.ts';
import type { Hops, Route } from '../contracts/stages.ts';
import type { StopSignal } from '../util/stop.ts';
import type { RouteResult } from './attempts.ts';
import { Failover } from './failover.ts';
import { nameOf, ProxyHealth } from './health/proxy-health.ts';

const hops = (host: string): Hops => [{ scheme: 'http', proxy: { host, port: 1 }, namedBy: 'user' }];
const by = (host: string): Route => ({ via: 'proxies', hops: hops(host) });
const DIRECT: Route = { via: 'direct' };
const labelOf = (route: Route): string => (route.via === 'direct' ? 'direct' : (route.hops[0].proxy.host ?? ''));

interface Begun {
  readonly name: string;
  readonly signal: StopSignal;
  readonly proxyResponded: () => void;
  readonly commit: () => void;
  win(): void;
  fail(code: FailureCode): void;
}
interface Value extends Disposable {
  readonly by: string;
}

/** One request; the test decides every attempt and every probe. */
class Scenario {
  readonly clock = new ManualClock();
  readonly begun: Begun[] = [];
  readonly disposed: string[] = [];
  readonly failures: string[] = [];
  readonly probed: string[] = [];
  /** Proxies that answer probes. */
  readonly alive = new Set<string>();
  readonly client = new AbortController();
  readonly health = new ProxyHealth({
    clock: this.clock,
    observe: () => undefined,
    probe: (probed, signal) => {
      this.probed.push(nameOf(probed));
      if (this.alive.has(probed[0].proxy.host)) return Promise.resolve();
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    },
  });
  readonly failover = new Failover(this.health, this.clock);

  go(...routes: Route[]): Promise<RouteResult<Value>> {
    const allow = () => ({ verdict: 'allow', rule: 'test' }) as const;
    const within = {
      id: 'r',
      client: '127.0.0.1',
      signal: this.client.signal,
      guard: { check: allow, checkConfigured: allow },
      observe: (event) => {
        if (event.type === 'route-failed') this.failures.push(`${labelOf(event.route)} ${event.reason} ${event.ms}`);
      },
      tap: undefined,
      clock: this.clock,
    } as DialScope;
    const going = this.failover.first<Value>(
      routes,
      within,
      (route, { signal, commit = () => assert.fail('no commit') }, proxyResponded) => {
        const name = labelOf(route);
        return new Promise((resolve, reject) => {
          const win = () => resolve({ by: name, [Symbol.dispose]: () => void this.disposed.push(name) });
          this.begun.push({
            name,
            signal,
            proxyResponded,
            commit,
            win,
            fail: (code) => reject(new ProxyError(code, name)),
          });
        });
      },
    );
    // A test looks at it when it has seen what comes before.
    going.catch(() => undefined);
    return going;
  }

  get names(): string {
    return this.begun.map(({ name }) => name).join(' ');
  }

  at(name: string): Begun {
    const found = this.begun.findLast((one) => one.name === name);
    if (found === undefined) throw new Error(`${name} was not tried`);
    return found;
  }

  async settle(name: string, code?: FailureCode): Promise<void> {
    if (code === undefined) this.at(name).win();
    else this.at(name).fail(code);
    await this.clock.pass(0);
  }

  isDown(name: string): boolean {
    return this.health.downUntilMs(hops(name)) !== undefined;
  }

  /** Nothing of the request is left: no listener on the client's signal, no timer but those of the health. */
  over(): void {
    this.health[Symbol.dispose]();
    assert.equal(this.clock.pending, 0);
    assert.equal(getEventListeners(this.client.signal, 'abort').length, 0);
  }
}

const failsWith = (code: FailureCode) => (error: unknown) => error instanceof ProxyError && error.code === code;

test('a proxy that refuses is skipped at once, and is down', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  await scenario.settle('a', 'connection_refused');
  assert.equal(scenario.names, 'a b');
  await scenario.settle('b');
  assert.equal((await going).value.by, 'b');
  assert.deepEqual(
    [scenario.isDown('a'), scenario.isDown('b'), scenario.failures],
    [true, false, ['a connection_refused 0']],
  );
  scenario.over();
});

test('the next request begins with the one that is in service', async () => {
  const scenario = new Scenario();
  scenario.health.failed(hops('a'), 'connection_refused', 0);
  const going = scenario.go(by('a'), by('b'));
  await scenario.settle('b');
  await going;
  assert.equal(scenario.names, 'b');
  scenario.over();
});

test('a proxy that is silent to every request is probed, and after 1 s the next begins beside it; the loser is down', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  await scenario.clock.pass(500);
  assert.deepEqual([scenario.names, scenario.probed], ['a', ['http://a:1']]);
  await scenario.clock.pass(499);
  assert.equal(scenario.names, 'a');
  await scenario.clock.pass(1);
  assert.deepEqual([scenario.names, scenario.at('a').signal.aborted], ['a b', false]);
  await scenario.settle('b');
  assert.equal((await going).value.by, 'b');
  assert.deepEqual([scenario.at('a').signal.aborted, scenario.isDown('a')], [true, true]);
  assert.deepEqual(scenario.failures, ['a upstream_timeout 1000']);
  await scenario.settle('a');
  assert.deepEqual(scenario.disposed, ['a'], 'what comes too late is given back');
  scenario.over();
});

test('a proxy that answers its probe is not slow, its target is: the request stays on its way', async () => {
  const scenario = new Scenario();
  scenario.alive.add('a');
  const going = scenario.go(by('a'), by('b'));
  await scenario.clock.pass(30_000);
  assert.equal(scenario.names, 'a');
  assert.ok(scenario.probed.length < 40, `${scenario.probed.length} probes in 30 s`);
  await scenario.settle('a');
  assert.equal((await going).value.by, 'a');
  assert.deepEqual([scenario.isDown('a'), scenario.failures], [false, []]);
  scenario.over();
});

test('a proxy that answers another request is not even probed', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  for (let time = 0; time < 100; time++) {
    await scenario.clock.pass(100);
    scenario.health.responded(hops('a'));
  }
  assert.deepEqual([scenario.names, scenario.probed], ['a', []]);
  await scenario.settle('a');
  await going;
  scenario.over();
});

test('one that falls silent later is noticed a second after its last word', async () => {
  const scenario = new Scenario();
  scenario.alive.add('a');
  scenario.health.learn(hops('a'));
  await scenario.clock.pass(0);
  scenario.alive.delete('a');
  const going = scenario.go(by('a'), by('b'));
  await scenario.clock.pass(700);
  scenario.health.responded(hops('a'));
  await scenario.clock.pass(999);
  assert.equal(scenario.names, 'a');
  await scenario.clock.pass(1);
  assert.equal(scenario.names, 'a b');
  await scenario.settle('b');
  await going;
  assert.equal(scenario.isDown('a'), true);
  scenario.over();
});

test('the first may still win; then the other is aborted, and no proxy has failed', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  await scenario.clock.pass(1_100);
  await scenario.settle('a');
  assert.equal((await going).value.by, 'a');
  assert.equal(scenario.at('b').signal.aborted, true);
  assert.deepEqual([scenario.isDown('a'), scenario.isDown('b'), scenario.failures], [false, false, []]);
  scenario.over();
});

test('of two that win in the same turn one is given back', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  await scenario.clock.pass(1_000);
  scenario.at('a').win();
  scenario.at('b').win();
  await going;
  await scenario.clock.pass(0);
  assert.deepEqual(scenario.disposed, ['b']);
  scenario.over();
});

test('a failure that no other route can mend ends the request, when its route is the first that could answer', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  await scenario.settle('a', 'address_prohibited');
  await assert.rejects(going, failsWith('address_prohibited'));
  assert.equal(scenario.names, 'a');
  scenario.over();
});

test('a later route that cannot go on does not overrule an earlier one that may', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), DIRECT);
  await scenario.clock.pass(1_000);
  await scenario.settle('direct', 'address_prohibited');
  await scenario.settle('a');
  assert.equal((await going).value.by, 'a');
  scenario.over();
});

test('a proxy that refuses the target has the last word, when those before it are silent to every request', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  await scenario.clock.pass(1_000);
  await scenario.settle('b', 'upstream_refused');
  await assert.rejects(going, failsWith('upstream_refused'));
  assert.deepEqual([scenario.isDown('a'), scenario.at('a').signal.aborted], [true, true]);
  scenario.over();
});

test('when all fail, the error is that of the first, and tells about the others', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'), DIRECT);
  await scenario.settle('a', 'connection_refused');
  await scenario.settle('b', 'connect_timeout');
  await scenario.settle('direct', 'dns_failed');
  await assert.rejects(going, (error) => {
    assert.ok(error instanceof ProxyError);
    assert.equal(error.code, 'connection_refused');
    assert.equal(
      error.detail,
      'http://a:1: [connection_refused] a; http://b:1: [connect_timeout] b; direct: [dns_failed] direct',
    );
    assert.equal(
      error.clientDetail,
      'Every route was tried: http://a:1 (connection_refused), http://b:1 (connect_timeout), direct (dns_failed).',
    );
    return true;
  });
  assert.deepEqual(scenario.failures, ['a connection_refused 0', 'b connect_timeout 0']);
  scenario.over();
});

test('a client that goes away ends all attempts with its reason, and no proxy has failed', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'), by('c'));
  await scenario.clock.pass(1_500);
  const gone = new ProxyError('client_gone', 'test');
  scenario.client.abort(gone);
  await assert.rejects(going, (error) => error === gone);
  assert.deepEqual(
    scenario.begun.map(({ name, signal }) => [name, signal.reason === gone]),
    [
      ['a', true],
      ['b', true],
    ],
  );
  assert.deepEqual([scenario.isDown('a'), scenario.isDown('b')], [false, false]);
  scenario.over();
});

test('direct that has connected waits for its target alone', async () => {
  const scenario = new Scenario();
  const going = scenario.go(DIRECT, by('b'));
  scenario.at('direct').proxyResponded();
  await scenario.clock.pass(20_000);
  assert.equal(scenario.names, 'direct');
  await scenario.settle('direct');
  await going;
  scenario.over();
});

test('direct that does not connect is as slow as a proxy', async () => {
  const scenario = new Scenario();
  const going = scenario.go(DIRECT, by('b'));
  await scenario.clock.pass(1_000);
  assert.equal(scenario.names, 'direct b');
  await scenario.settle('b');
  await going;
  assert.deepEqual(scenario.failures, ['direct connect_timeout 1000']);
  scenario.over();
});

test('a time-out of a proxy that answers others is its target’s, and does not become the next proxy’s', async () => {
  const scenario = new Scenario();
  scenario.alive.add('a');
  const going = scenario.go(by('a'), by('b'));
  await scenario.clock.pass(30_000);
  await scenario.settle('a', 'upstream_timeout');
  await assert.rejects(going, failsWith('upstream_timeout'));
  assert.deepEqual([scenario.names, scenario.isDown('a')], ['a', false]);
  scenario.over();
});

test('four attempts at most go on at the same time', async () => {
  const scenario = new Scenario();
  const going = scenario.go(...['a', 'b', 'c', 'd', 'e'].map(by));
  await scenario.clock.pass(10_000);
  assert.equal(scenario.names, 'a b c d');
  await scenario.settle('b', 'connection_refused');
  assert.equal(scenario.names, 'a b c d e');
  await scenario.settle('e');
  await going;
  scenario.over();
});

test('a timer that comes late tells nothing about the proxy', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  await scenario.clock.pass(600);
  // The machine sleeps: time jumps, and everything that was due is due at once.
  scenario.clock.sleep(60_000);
  await scenario.clock.pass(49);
  assert.equal(scenario.names, 'a');
  await scenario.settle('a');
  assert.equal((await going).value.by, 'a');
  scenario.over();
});

test('where every timer comes late, the next route begins all the same', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  for (let look = 0; look < 4; look++) {
    scenario.clock.sleep(800);
    await scenario.clock.pass(0);
  }
  assert.equal(scenario.names, 'a b');
  await scenario.settle('b');
  await going;
  scenario.over();
});

test('a single route costs no timer and no signal of its own, and its failure names the proxy', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'));
  assert.deepEqual([scenario.clock.pending, scenario.at('a').signal === scenario.client.signal], [0, true]);
  await scenario.settle('a', 'connection_refused');
  await assert.rejects(going, (error) => {
    assert.ok(error instanceof ProxyError);
    assert.deepEqual(
      [error.code, error.detail, error.clientDetail],
      ['connection_refused', 'http://a:1: a', 'The route led through http://a:1.'],
    );
    assert.equal(error.clientMessage, 'The upstream proxy could not be reached.');
    return true;
  });
  assert.equal(scenario.isDown('a'), true);
  scenario.over();
});

test('a failure from another network marks no proxy down', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), by('b'));
  scenario.health.renew();
  await scenario.settle('a', 'connection_refused');
  await scenario.settle('b');
  await going;
  assert.equal(scenario.isDown('a'), false);
  scenario.over();
});

test('a proxy that has answered requests and never a probe is not judged by probes: its slow target stays its own', async () => {
  const scenario = new Scenario();
  scenario.health.responded(hops('a'));
  const going = scenario.go(by('a'), DIRECT);
  await scenario.clock.pass(30_000);
  assert.deepEqual([scenario.names, scenario.probed], ['a', []]);
  await scenario.settle('a', 'upstream_timeout');
  await assert.rejects(going, failsWith('upstream_timeout'));
  assert.deepEqual([scenario.names, scenario.isDown('a')], ['a', false]);
  scenario.over();
});

for (const code of ['upstream_protocol', 'upstream_closed'] as const) {
  test(`${code}: the next route is tried only when the proxy gives no sign of life itself`, async () => {
    const scenario = new Scenario();
    scenario.alive.add('a');
    const going = scenario.go(by('a'), DIRECT);
    await scenario.settle('a', code);
    await assert.rejects(going, failsWith(code));
    assert.deepEqual([scenario.names, scenario.isDown('a')], ['a', false]);
    scenario.alive.delete('a');
    const next = scenario.go(by('a'), DIRECT);
    await scenario.settle('a', code);
    assert.equal(scenario.names, 'a a', 'its probe is not answered yet, and nothing begins beside it');
    await scenario.clock.pass(5_000);
    assert.deepEqual([scenario.names, scenario.isDown('a')], ['a a direct', true]);
    await scenario.settle('direct');
    assert.equal((await next).value.by, 'direct');
    scenario.over();
  });
}

test('a proxy that has sent a 407 has the request: later routes are given up and none begins', async () => {
  const scenario = new Scenario();
  const going = scenario.go(by('a'), DIRECT, by('c'));
  await scenario.clock.pass(1_000);
  assert.equal(scenario.names, 'a direct');
  scenario.at('a').commit();
  assert.equal(scenario.at('direct').signal.aborted, true);
  scenario.at('direct').win();
  await scenario.clock.pass(20_000);
  assert.deepEqual([scenario.names, scenario.disposed], ['a direct', ['direct']]);
  await scenario.settle('a', 'connection_refused');
  await assert.rejects(going, failsWith('connection_refused'));
  assert.equal(scenario.names, 'a direct');
  scenario.over();
});
