import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { laneSockets } from '../../src/native/lane.ts';

/** Closing takes a turn or two of the loop, and a busy machine longer. */
const SETTLE_MS = 3_000;

/** What keeps this process alive, by kind: sockets, listeners, timers, lookups. Timers that are unreferenced do not. */
export function resources(): Readonly<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counted[kind] = (counted[kind] ?? 0) + 1;
  // Our own wait, and output that is being written.
  for (const kind of ['Timeout', 'WriteWrap', 'Immediate', 'TickObject']) delete counted[kind];
  if (laneSockets() > 0) counted.LaneSocket = laneSockets();
  return counted;
}

/** Kinds of which there are more than before. */
function leaked(before: Readonly<Record<string, number>>): Record<string, number> {
  const more = Object.entries(resources()).map(([kind, count]) => [kind, count - (before[kind] ?? 0)] as const);
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}

/** A test body after which every socket that it opened is closed again; one that leaks fails here, and not the next. */
export function leavesNothing(body: () => Promise<void>): () => Promise<void> {
  return async () => {
    const before = resources();
    await body();
    const untilMs = performance.now() + SETTLE_MS;
    while (Object.keys(leaked(before)).length > 0 && performance.now() < untilMs) await wait(5);
    assert.deepEqual(leaked(before), {}, 'the test left something open');
  };
}
