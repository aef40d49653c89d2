import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Gate } from '../contracts/stages.ts';
import { GRANT_BYTES_MAX, GRANT_MORE, RELAY_COMMANDS } from '../native/abi.ts';
import type { RelayAddon } from '../native/addon.ts';
import { NativeThread } from '../native/relay-thread.ts';
import { GrantedDirection } from './granted-direction.ts';

/** A direction from the upstream at a gate that answers with `answers`, one for each take; what it does is in `events`. */
function granted(...answers: readonly (number | Promise<number>)[]) {
  const events: string[] = [];
  const left = [...answers];
  const addon: RelayAddon = {
    start: () => undefined,
    addBlock: () => undefined,
    add: () => 0,
    command: (_slot, command, bytes) => {
      assert.equal(command, RELAY_COMMANDS.grantDown);
      events.push(bytes >= GRANT_MORE ? `grant ${bytes - GRANT_MORE}, more comes` : `grant ${bytes}`);
    },
    hold: () => undefined,
  };
  const thread = new NativeThread(addon);
  const offered = { fd: 3, early: Buffer.alloc(0), is: 'given' } as const;
  const slot = thread.add(
    { halfClosed: () => undefined, closed: () => undefined, wants: () => undefined, returns: () => undefined },
    offered,
    offered,
  );
  assert.ok(slot !== undefined);
  const gate: Gate = {
    isIdle: false,
    take: () => left.shift() ?? assert.fail('one take too many'),
    refund: (bytes) => events.push(`refund ${bytes}`),
  };
  const direction = new GrantedDirection('down', gate, thread, { onForbidden: () => events.push('forbidden') });
  direction.begin(slot, 0);
  return { direction, events };
}

test('nothing to grant for bytes that wait ends the tunnel, at once and later', async () => {
  for (const none of [0, Promise.resolve(0)]) {
    const { direction, events } = granted(none);
    direction.wants(1_000);
    await nextTurn();
    assert.deepEqual(events, ['forbidden']);
  }
});

test('nothing to grant ahead leaves the tunnel what it has: the thread spends it, asks again, and only then it ends', async () => {
  for (const [ahead, first] of [
    [0, ['grant 5000']],
    [Promise.resolve(0), ['grant 5000, more comes', 'grant 0']],
  ] as const) {
    const { direction, events } = granted(5_000, ahead, 0);
    direction.wants(GRANT_BYTES_MAX);
    await nextTurn();
    assert.deepEqual(events, first);
    direction.wants(GRANT_BYTES_MAX);
    assert.deepEqual(events, [...first, 'forbidden']);
  }
});

test('what is granted to a tunnel that is over goes back, and so does what it has not used', async () => {
  const { direction, events } = granted(5_000, Promise.resolve(700));
  direction.wants(GRANT_BYTES_MAX);
  direction.end(1_200);
  await nextTurn();
  assert.deepEqual(events, ['grant 5000, more comes', 'refund 3800', 'refund 700']);
});
