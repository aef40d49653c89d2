import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { DialScope } from '../core/contracts.ts';
import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { Hops, Route } from '../core/stages.ts';
import type { StopSignal } from '../core/stop.ts';
import { Failover, type Won } from './failover.ts';
import { nameOf, ProxyHealth } from './health.ts';

const hops = (host: string): Hops => [{ scheme: 'http', proxy: { host, port: 1 }, namedBy: 'user' }];
const by = (host: string): Route => ({ via: 'proxies', hops: hops(host) });
const DIRECT: Route = { via: 'direct' };
const wordFor = (route: Route): string => (route.via === 'direct' ? 'direct' : (route.hops[0].proxy.host ?? ''));

interface Begun {
  readonly name: string;
  readonly signal: StopSignal;
  readonly isTargets: () => void;
  win(): void;
  fail(code: FailureCode): void;
}
interface Value extends Disposable {
  readonly by: string;
}

/** One request; every attempt and every probe is in the test's hands. */
class Story {
  readonly clock = new ManualClock();
  readonly begun: Begun[] = [];
  readonly disposed: string[] = [];
  readonly told: string[] = [];
  readonly asked: string[] = [];
  /** Proxies that answer probes. */
  readonly alive = new Set<string>();
  readonly client = new AbortController();
  readonly health = new ProxyHealth({
    clock: this.clock,
    observe: () => undefined,
    probe: (asked, signal) => {
      this.asked.push(nameOf(asked));
      if (this.alive.has(asked[0].proxy.host)) return Promise.resolve();
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    },
  });
  readonly failover = new Failover(this.health, this.clock);

  go(...routes: Route[]): Promise<Won<Value>> {
    const allow = () => ({ verdict: 'allow', rule: 'test' }) as const;
    const within = {
      id: 'r',
      signal: this.client.signal,
      guard: { check: allow, checkConfigured: allow },
      observe: (event) => {
        if (event.type === 'route-failed') this.told.push(`${wordFor(event.route)} ${event.reason} ${event.ms}`);
      },
      tap: undefined,
    } as DialScope;
    const going = this.failover.first<Value>(routes, within, (route, { signal }, isTargets) => {
      const name = wordFor(route);
      return new Promise((resolve, reject) => {
        const win = () => resolve({ by: name, [Symbol.dispose]: () => void this.disposed.push(name) });
        this.begun.push({ name, signal, isTargets, win, fail: (code) => reject(new ProxyError(code, name)) });
      });
    });
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

  isOut(name: string): boolean {
    return this.health.sitsOutUntilMs(hops(name)) !== undefined;
  }

  /** Nothing of the request is left: no listener on the client's signal, no timer but those of the health. */
  over(): void {
    this.health[Symbol.dispose]();
    assert.equal(this.clock.pending, 0);
    assert.equal(getEventListeners(this.client.signal, 'abort').length, 0);
  }
}

const failsWith = (code: FailureCode) => (error: unknown) => error instanceof ProxyError && error.code === code;

test('a proxy that refuses is skipped at once, and sits out', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  await story.settle('a', 'refused');
  assert.equal(story.names, 'a b');
  await story.settle('b');
  assert.equal((await going).value.by, 'b');
  assert.deepEqual([story.isOut('a'), story.isOut('b'), story.told], [true, false, ['a refused 0']]);
  story.over();
});

test('the next request begins with the one that is in service', async () => {
  const story = new Story();
  story.health.failed(hops('a'), 'refused', 0);
  const going = story.go(by('a'), by('b'));
  await story.settle('b');
  await going;
  assert.equal(story.names, 'b');
  story.over();
});

test('a proxy that is silent to everybody is asked, and after 1 s the next begins beside it; the loser sits out', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  await story.clock.pass(500);
  assert.deepEqual([story.names, story.asked], ['a', ['http://a:1']]);
  await story.clock.pass(499);
  assert.equal(story.names, 'a');
  await story.clock.pass(1);
  assert.deepEqual([story.names, story.at('a').signal.aborted], ['a b', false]);
  await story.settle('b');
  assert.equal((await going).value.by, 'b');
  assert.deepEqual([story.at('a').signal.aborted, story.isOut('a')], [true, true]);
  assert.deepEqual(story.told, ['a parent_silent 1000']);
  await story.settle('a');
  assert.deepEqual(story.disposed, ['a'], 'what comes too late is given back');
  story.over();
});

test('a proxy that answers its probe is not slow, its target is: the request stays on its way', async () => {
  const story = new Story();
  story.alive.add('a');
  const going = story.go(by('a'), by('b'));
  await story.clock.pass(30_000);
  assert.equal(story.names, 'a');
  assert.ok(story.asked.length < 40, `${story.asked.length} probes in 30 s`);
  await story.settle('a');
  assert.equal((await going).value.by, 'a');
  assert.deepEqual([story.isOut('a'), story.told], [false, []]);
  story.over();
});

test('a proxy that answers somebody else is not even asked', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  for (let time = 0; time < 100; time++) {
    await story.clock.pass(100);
    story.health.answered(hops('a'));
  }
  assert.deepEqual([story.names, story.asked], ['a', []]);
  await story.settle('a');
  await going;
  story.over();
});

test('one that falls silent later is noticed a second after its last word', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  await story.clock.pass(700);
  story.health.answered(hops('a'));
  await story.clock.pass(999);
  assert.equal(story.names, 'a');
  await story.clock.pass(1);
  assert.equal(story.names, 'a b');
  await story.settle('b');
  await going;
  assert.equal(story.isOut('a'), true);
  story.over();
});

test('the first may still win; then the other is given up, and nobody has failed', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  await story.clock.pass(1_100);
  await story.settle('a');
  assert.equal((await going).value.by, 'a');
  assert.equal(story.at('b').signal.aborted, true);
  assert.deepEqual([story.isOut('a'), story.isOut('b'), story.told], [false, false, []]);
  story.over();
});

test('of two that win in the same turn one is given back', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  await story.clock.pass(1_000);
  story.at('a').win();
  story.at('b').win();
  await going;
  await story.clock.pass(0);
  assert.deepEqual(story.disposed, ['b']);
  story.over();
});

test('a failure that no other route can mend ends the request, when its route is the first that could answer', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  await story.settle('a', 'address_prohibited');
  await assert.rejects(going, failsWith('address_prohibited'));
  assert.equal(story.names, 'a');
  story.over();
});

test('a later route that cannot go on does not overrule an earlier one that may', async () => {
  const story = new Story();
  const going = story.go(by('a'), DIRECT);
  await story.clock.pass(1_000);
  await story.settle('direct', 'address_prohibited');
  await story.settle('a');
  assert.equal((await going).value.by, 'a');
  story.over();
});

test('a proxy that refuses the target has the last word, when those before it say nothing to anybody', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  await story.clock.pass(1_000);
  await story.settle('b', 'parent_refused');
  await assert.rejects(going, failsWith('parent_refused'));
  assert.deepEqual([story.isOut('a'), story.at('a').signal.aborted], [true, true]);
  story.over();
});

test('when all fail, the error is that of the first, and tells about the others', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'), DIRECT);
  await story.settle('a', 'refused');
  await story.settle('b', 'connect_timeout');
  await story.settle('direct', 'dns_failed');
  await assert.rejects(going, (error) => {
    assert.ok(error instanceof ProxyError);
    assert.equal(error.code, 'refused');
    assert.equal(error.detail, 'http://a:1: [refused] a; http://b:1: [connect_timeout] b; direct: [dns_failed] direct');
    assert.equal(
      error.told,
      'Every way was tried: http://a:1 (refused), http://b:1 (connect_timeout), direct (dns_failed).',
    );
    return true;
  });
  assert.deepEqual(story.told, ['a refused 0', 'b connect_timeout 0']);
  story.over();
});

test('a client that goes away ends all attempts with its reason, and no proxy has failed', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'), by('c'));
  await story.clock.pass(1_500);
  const gone = new ProxyError('client_gone', 'test');
  story.client.abort(gone);
  await assert.rejects(going, (error) => error === gone);
  assert.deepEqual(
    story.begun.map(({ name, signal }) => [name, signal.reason === gone]),
    [
      ['a', true],
      ['b', true],
    ],
  );
  assert.deepEqual([story.isOut('a'), story.isOut('b')], [false, false]);
  story.over();
});

test('direct that has connected waits for its target alone', async () => {
  const story = new Story();
  const going = story.go(DIRECT, by('b'));
  story.at('direct').isTargets();
  await story.clock.pass(20_000);
  assert.equal(story.names, 'direct');
  await story.settle('direct');
  await going;
  story.over();
});

test('direct that does not connect is as slow as a proxy', async () => {
  const story = new Story();
  const going = story.go(DIRECT, by('b'));
  await story.clock.pass(1_000);
  assert.equal(story.names, 'direct b');
  await story.settle('b');
  await going;
  assert.deepEqual(story.told, ['direct connect_timeout 1000']);
  story.over();
});

test('a time-out of a proxy that answers others is its target’s, and does not become the next proxy’s', async () => {
  const story = new Story();
  story.alive.add('a');
  const going = story.go(by('a'), by('b'));
  await story.clock.pass(30_000);
  await story.settle('a', 'parent_silent');
  await assert.rejects(going, failsWith('parent_silent'));
  assert.deepEqual([story.names, story.isOut('a')], ['a', false]);
  story.over();
});

test('four attempts at most go on at the same time', async () => {
  const story = new Story();
  const going = story.go(...['a', 'b', 'c', 'd', 'e'].map(by));
  await story.clock.pass(10_000);
  assert.equal(story.names, 'a b c d');
  await story.settle('b', 'refused');
  assert.equal(story.names, 'a b c d e');
  await story.settle('e');
  await going;
  story.over();
});

test('a timer that comes late tells nothing about the proxy', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  await story.clock.pass(600);
  // The machine sleeps: time jumps, and everything that was due is due at once.
  story.clock.sleep(60_000);
  await story.clock.pass(49);
  assert.equal(story.names, 'a');
  await story.settle('a');
  assert.equal((await going).value.by, 'a');
  story.over();
});

test('where every timer comes late, the next route begins all the same', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  for (let look = 0; look < 4; look++) {
    story.clock.sleep(800);
    await story.clock.pass(0);
  }
  assert.equal(story.names, 'a b');
  await story.settle('b');
  await going;
  story.over();
});

test('a single route costs no timer and no signal of its own, and its failure names the proxy', async () => {
  const story = new Story();
  const going = story.go(by('a'));
  assert.deepEqual([story.clock.pending, story.at('a').signal === story.client.signal], [0, true]);
  await story.settle('a', 'refused');
  await assert.rejects(going, (error) => {
    assert.ok(error instanceof ProxyError);
    assert.deepEqual(
      [error.code, error.detail, error.told],
      ['refused', 'http://a:1: a', 'The way led through http://a:1.'],
    );
    assert.equal(error.sentence, 'The upstream proxy could not be reached.');
    return true;
  });
  assert.equal(story.isOut('a'), true);
  story.over();
});

test('a failure learnt in another network is nobody’s', async () => {
  const story = new Story();
  const going = story.go(by('a'), by('b'));
  story.health.renew();
  await story.settle('a', 'refused');
  await story.settle('b');
  await going;
  assert.equal(story.isOut('a'), false);
  story.over();
});
