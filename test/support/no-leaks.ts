import assert from 'node:assert/strict';
import { epollSocketCount } from '../../src/net/epoll-sockets.ts';
import { until } from './until.ts';

/** A socket closes within a turn or two of the event loop; a loaded machine takes longer. */
const SETTLE_MS = 3_000;

/** What keeps this process alive, by kind: sockets, listeners, timers, lookups. Timers that are unreferenced do not. */
export function resources(): Readonly<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counted[kind] = (counted[kind] ?? 0) + 1;
  // The poll of this file, and output that is being written.
  for (const kind of ['Timeout', 'WriteWrap', 'Immediate', 'TickObject']) delete counted[kind];
  if (epollSocketCount() > 0) counted.EpollSocket = epollSocketCount();
  return counted;
}

/** TCP sockets that are open in this process, on either kind of wire. */
export function sockets(): number {
  const { TCPSocketWrap = 0, EpollSocket = 0 } = resources();
  return TCPSocketWrap + EpollSocket;
}

/** Kinds of which there are more than before. */
function leaked(before: Readonly<Record<string, number>>): Record<string, number> {
  const more = Object.entries(resources()).map(([kind, count]) => [kind, count - (before[kind] ?? 0)] as const);
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}

/** A test body after which every socket that it opened is closed again; one that leaks fails itself, not the test behind it. */
export function leavesNothing(body: () => Promise<void>): () => Promise<void> {
  return async () => {
    const before = resources();
    await body();
    const isClosed = () => Object.keys(leaked(before)).length === 0;
    await until(isClosed, 'everything is closed', SETTLE_MS).catch(() => undefined);
    assert.deepEqual(leaked(before), {}, 'the test left something open');
  };
}
