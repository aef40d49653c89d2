import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import {
  GRANT_MORE,
  RELAY_COMMANDS,
  RELAY_EVENTS,
  SLOT_GENERATIONS,
  SLOT_INDEX_BITS,
  SLOTS_PER_BLOCK,
  TUNNEL_ENDS,
} from './abi.ts';
import type { RelayAddon } from './addon.ts';
import { type Direction, NativeThread, type OfferedDescriptor, type RelayedTunnel } from './relay-thread.ts';

type MadeUpEvent = readonly [kind: keyof typeof RELAY_EVENTS, slot: number, detail?: number];

/** An addon whose events a test makes up. */
class MadeUpAddon implements RelayAddon {
  readonly calls: string[] = [];
  /** What the next calls of `add` return. */
  readonly results: number[] = [];
  hasMemory = true;
  #onEvents: (events: number) => void = () => undefined;
  #events = new Int32Array();

  start(...[onEvents, events]: Parameters<RelayAddon['start']>): void {
    this.#onEvents = onEvents;
    this.#events = new Int32Array(events);
  }
  report(...events: readonly MadeUpEvent[]): void {
    for (const [at, [kind, slot, detail = 0]] of events.entries()) {
      this.#events.set([slot, RELAY_EVENTS[kind], detail], 3 * at);
    }
    this.#onEvents(events.length);
  }
  addBlock(): void {
    if (!this.hasMemory) throw new Error('out of memory');
  }
  add(slot: number): number {
    this.calls.push(`add ${slot}`);
    return this.results.shift() ?? 0;
  }
  command(...words: Parameters<RelayAddon['command']>): void {
    this.calls.push(`command ${words.join(' ')}`);
  }
  hold(tunnels: number): void {
    this.calls.push(`hold ${tunnels}`);
  }
}

/** A tunnel that notes its events, and throws where it is to. */
class Noted implements RelayedTunnel {
  readonly events: string[] = [];
  throwing = false;
  halfClosed(side: number): void {
    this.#note(`half ${side}`);
  }
  closed(end: number): void {
    this.#note(`closed ${end}`);
  }
  wants(direction: Direction, bytes: number): void {
    this.#note(`wants ${direction} ${bytes}`);
  }
  returns(direction: Direction, bytes: number): void {
    this.#note(`returns ${direction} ${bytes}`);
  }
  #note(event: string): void {
    this.events.push(event);
    if (this.throwing) throw new Error('mine');
  }
}

const offered: OfferedDescriptor = { fd: 3, early: Buffer.alloc(0), is: 'given' };

function madeUp(): { readonly addon: MadeUpAddon; readonly thread: NativeThread; add(tunnel: RelayedTunnel): number } {
  const addon = new MadeUpAddon();
  const thread = new NativeThread(addon);
  return {
    addon,
    thread,
    add: (tunnel) => {
      const slot = thread.add(tunnel, offered, offered);
      assert.ok(slot !== undefined);
      return slot;
    },
  };
}

const NEXT_GENERATION = 1 << SLOT_INDEX_BITS;

test('a slot that is used again has another number, and a late event of the earlier tunnel is not delivered', () => {
  const { addon, add } = madeUp();
  const [first, second] = [new Noted(), new Noted()];
  const slot = add(first);
  addon.report(['closed', slot, TUNNEL_ENDS.client]);
  const again = add(second);
  assert.deepEqual([slot, again], [0, NEXT_GENERATION]);
  addon.report(
    ['closed', slot, 1],
    ['halfClosed', slot, 1],
    ['wantsUp', slot, 5],
    ['closed', -1],
    ['closed', 1],
    ['halfClosed', again, 0],
  );
  assert.deepEqual([first.events, second.events], [['closed 0'], ['half 0']]);
  assert.deepEqual(addon.calls, ['add 0', 'hold 1', 'hold 0', `add ${again}`, 'hold 1']);
});

test('the numbers of a slot begin again after the last generation, and are all positive', () => {
  const { addon, add } = madeUp();
  const slots = Array.from({ length: SLOT_GENERATIONS + 1 }, () => {
    const slot = add(new Noted());
    addon.report(['closed', slot]);
    return slot;
  });
  assert.equal(new Set(slots).size, SLOT_GENERATIONS);
  assert.equal(slots.at(-1), 0);
  assert.ok(slots.every((slot) => slot >= 0 && slot < 2 ** 31));
});

test('a tunnel whose callback throws costs no other its event, and leaves neither a slot nor the hold', async () => {
  const { addon, add } = madeUp();
  const tunnels = [new Noted(), new Noted(), new Noted(), new Noted()] as const;
  const [a, b, c, d] = tunnels.map(add);
  assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined);
  for (const tunnel of tunnels.slice(0, 3)) tunnel.throwing = true;
  const thrown: unknown[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error.message));
  addon.report(
    ['halfClosed', a, 1],
    ['closed', b, 2],
    ['wantsDown', c, 7],
    ['closed', c, 0],
    ['closed', d, 1],
    ['closed', a, 3],
  );
  await nextRound();
  process.setUncaughtExceptionCaptureCallback(null);
  assert.deepEqual(thrown, ['mine', 'mine', 'mine', 'mine', 'mine']);
  assert.deepEqual(
    tunnels.map(({ events }) => events),
    [['half 1', 'closed 3'], ['closed 2'], ['wants down 7', 'closed 0'], ['closed 1']],
  );
  assert.equal(addon.calls.at(-1), 'hold 0');
  assert.deepEqual(
    [add(new Noted()), add(new Noted())],
    [a, d].map((slot) => slot + NEXT_GENERATION),
  );
});

test('a tunnel learns what waits for a grant and what is returned, by direction', () => {
  const { addon, thread, add } = madeUp();
  const tunnel = new Noted();
  const slot = add(tunnel);
  addon.report(['wantsUp', slot, 10], ['returnsDown', slot, 20], ['wantsDown', slot, 30], ['returnsUp', slot, 40]);
  assert.deepEqual(tunnel.events, ['wants up 10', 'returns down 20', 'wants down 30', 'returns up 40']);
  thread.grant(slot, 'up', 5, 'asked');
  thread.grant(slot, 'down', 6, 'comes');
  assert.deepEqual(addon.calls.slice(-2), [
    `command ${slot} ${RELAY_COMMANDS.grantUp} 5`,
    `command ${slot} ${RELAY_COMMANDS.grantDown} ${6 + GRANT_MORE}`,
  ]);
});

test('a tunnel that the thread cannot take keeps no slot, nor does one without a counter', () => {
  const { addon, thread, add } = madeUp();
  addon.results.push(12);
  assert.equal(thread.add(new Noted(), offered, offered), undefined);
  assert.equal(add(new Noted()), 0);
  for (let slot = 1; slot < SLOTS_PER_BLOCK; slot++) add(new Noted());
  addon.hasMemory = false;
  assert.equal(thread.add(new Noted(), offered, offered), undefined);
  addon.hasMemory = true;
  assert.equal(add(new Noted()), SLOTS_PER_BLOCK);
});
