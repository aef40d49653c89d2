import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { networkWatch } from './network.ts';
import type { NetworkSight } from './sight.ts';

const HOME: NetworkSight = { addresses: 'home', routes: 'home', resolver: 'home' };

function watching() {
  const clock = new ManualClock();
  const at: { sight: NetworkSight | undefined; looks: number } = { sight: HOME, looks: 0 };
  const watch = networkWatch({
    clock,
    look: () => {
      at.looks += 1;
      return at.sight;
    },
  });
  const told: string[] = [];
  const listening = watch.onChange((changed) => told.push(`${clock.now()}: ${changed.join(', ')}`));
  return { clock, at, watch, told, listening };
}

test('looks once a second, and says nothing while nothing changes', () => {
  const { clock, at, watch, told } = watching();
  clock.advance(60_000);
  assert.deepEqual([at.looks, told, watch.generation], [61, [], 0]);
});

test('what cannot be seen for a while is no change', () => {
  const { clock, at, watch, told } = watching();
  at.sight = undefined;
  clock.advance(10_000);
  at.sight = HOME;
  clock.advance(10_000);
  assert.deepEqual([told, watch.generation], [[], 0]);
});

test('tells of a new network once, when it has been quiet for half a second', () => {
  const { clock, at, watch, told } = watching();
  at.sight = { ...HOME, addresses: '' };
  clock.advance(1_000);
  assert.deepEqual([told, watch.generation], [[], 0]);
  at.sight = { ...HOME, addresses: 'vpn' };
  clock.advance(250);
  at.sight = { addresses: 'vpn', routes: 'vpn', resolver: 'home' };
  clock.advance(250);
  at.sight = { addresses: 'vpn', routes: 'vpn', resolver: 'vpn' };
  clock.advance(10_000);
  assert.deepEqual([told, watch.generation], [['2250: addresses, routes, resolver'], 1]);
  at.sight = HOME;
  clock.advance(10_000);
  assert.deepEqual(told.slice(1), ['13000: addresses, routes, resolver']);
  assert.equal(watch.generation, 2);
});

test('a network that never settles is told of after three seconds, and again', () => {
  const { clock, at, told } = watching();
  for (let turn = 0; turn < 32; turn++) {
    at.sight = { ...HOME, routes: `${turn}` };
    clock.advance(250);
  }
  assert.deepEqual(told, ['4000: routes', '7250: routes']);
});

test('an interface that went and came back is a change', () => {
  const { clock, at, told } = watching();
  at.sight = { ...HOME, addresses: '' };
  clock.advance(1_000);
  at.sight = HOME;
  clock.advance(5_000);
  assert.deepEqual(told, ['1750: addresses']);
});

test('a machine that slept is told of; a busy one and a clock that is set a little are not', () => {
  const { clock, told } = watching();
  clock.advance(500);
  clock.setWall(clock.wallMs() + 9_000);
  clock.advance(5_000);
  clock.setWall(clock.wallMs() - 86_400_000);
  clock.advance(5_000);
  assert.deepEqual(told, []);
  clock.advance(500);
  clock.setWall(clock.wallMs() + 3_600_000);
  clock.advance(5_000);
  assert.deepEqual(told, ['12500: wake']);
});

test('whoever does not want to hear it any more does not, and neither does anybody after the end', () => {
  const { clock, at, watch, told, listening } = watching();
  const others: number[] = [];
  watch.onChange(() => others.push(watch.generation));
  listening[Symbol.dispose]();
  at.sight = { ...HOME, addresses: 'a' };
  clock.advance(3_000);
  assert.deepEqual([told, others], [[], [1]]);
  at.sight = HOME;
  watch[Symbol.dispose]();
  clock.advance(60_000);
  assert.deepEqual([others, clock.pending], [[1], 0]);
});

test('a listener may end the watch', () => {
  const { clock, at, watch } = watching();
  watch.onChange(() => watch[Symbol.dispose]());
  at.sight = { ...HOME, addresses: 'a' };
  clock.advance(60_000);
  assert.equal(clock.pending, 0);
});
