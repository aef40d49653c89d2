import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { NetworkSnapshot } from './network-snapshot.ts';
import { networkWatch } from './network-watch.ts';

const HOME: NetworkSnapshot = { addresses: 'home', routes: 'home', resolver: 'home' };

function watching() {
  const clock = new ManualClock();
  const network: { now: NetworkSnapshot | undefined; reads: number } = { now: HOME, reads: 0 };
  const watch = networkWatch({
    clock,
    snapshot: () => {
      network.reads += 1;
      return network.now;
    },
  });
  const reported: string[] = [];
  const listener = watch.onChange((changed) => reported.push(`${clock.now()}: ${changed.join(', ')}`));
  return { clock, network, watch, reported, listener };
}

test('reads the network once a second, and reports nothing while it stays the same', () => {
  const { clock, network, watch, reported } = watching();
  clock.advance(60_000);
  assert.deepEqual([network.reads, reported, watch.generation], [61, [], 0]);
});

test('a network that cannot be read for a while has not changed', () => {
  const { clock, network, watch, reported } = watching();
  network.now = undefined;
  clock.advance(10_000);
  network.now = HOME;
  clock.advance(10_000);
  assert.deepEqual([reported, watch.generation], [[], 0]);
});

test('reports a new network once, when it has been stable for half a second', () => {
  const { clock, network, watch, reported } = watching();
  network.now = { ...HOME, addresses: '' };
  clock.advance(1_000);
  assert.deepEqual([reported, watch.generation], [[], 0]);
  network.now = { ...HOME, addresses: 'vpn' };
  clock.advance(250);
  network.now = { addresses: 'vpn', routes: 'vpn', resolver: 'home' };
  clock.advance(250);
  network.now = { addresses: 'vpn', routes: 'vpn', resolver: 'vpn' };
  clock.advance(10_000);
  assert.deepEqual([reported, watch.generation], [['2250: addresses, routes, resolver'], 1]);
  network.now = HOME;
  clock.advance(10_000);
  assert.deepEqual(reported.slice(1), ['13000: addresses, routes, resolver']);
  assert.equal(watch.generation, 2);
});

test('a network that does not settle is reported every three seconds', () => {
  const { clock, network, reported } = watching();
  for (let turn = 0; turn < 32; turn++) {
    network.now = { ...HOME, routes: `${turn}` };
    clock.advance(250);
  }
  assert.deepEqual(reported, ['4000: routes', '7250: routes']);
});

test('an interface that was removed and came back is a change', () => {
  const { clock, network, reported } = watching();
  network.now = { ...HOME, addresses: '' };
  clock.advance(1_000);
  network.now = HOME;
  clock.advance(5_000);
  assert.deepEqual(reported, ['1750: addresses']);
});

test('reports that the machine slept; late timers and small changes of the clock are not reported', () => {
  const { clock, reported } = watching();
  clock.advance(500);
  clock.setWall(clock.wallMs() + 9_000);
  clock.advance(5_000);
  clock.setWall(clock.wallMs() - 86_400_000);
  clock.advance(5_000);
  assert.deepEqual(reported, []);
  clock.advance(500);
  clock.setWall(clock.wallMs() + 3_600_000);
  clock.advance(5_000);
  assert.deepEqual(reported, ['12500: wake']);
});

test('a disposed listener is not called, and no listener is called after the watch was disposed', () => {
  const { clock, network, watch, reported, listener } = watching();
  const others: number[] = [];
  watch.onChange(() => others.push(watch.generation));
  listener[Symbol.dispose]();
  network.now = { ...HOME, addresses: 'a' };
  clock.advance(3_000);
  assert.deepEqual([reported, others], [[], [1]]);
  network.now = HOME;
  watch[Symbol.dispose]();
  clock.advance(60_000);
  assert.deepEqual([others, clock.pending], [[1], 0]);
});

test('a listener may dispose the watch', () => {
  const { clock, network, watch } = watching();
  watch.onChange(() => watch[Symbol.dispose]());
  network.now = { ...HOME, addresses: 'a' };
  clock.advance(60_000);
  assert.equal(clock.pending, 0);
});

test('proxy settings that were written are a change; that they can be asked for now is none', () => {
  const { clock, network, reported } = watching();
  network.now = { ...HOME, settings: 'written then' };
  clock.advance(5_000);
  assert.deepEqual(reported, []);
  network.now = { ...HOME, settings: 'written now' };
  clock.advance(5_000);
  assert.deepEqual(reported, ['6500: settings']);
});
