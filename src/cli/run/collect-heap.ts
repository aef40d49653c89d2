import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { loadAddon } from '../../native/addon.ts';
import type { Clock } from '../../util/clock.ts';

/** A heap that is larger holds a large configuration: after a reload there may be much to collect, and it takes long. */
const LARGE_BYTES_MIN = 64 * 1_048_576;
const isLarge = (): boolean => getHeapStatistics().used_heap_size >= LARGE_BYTES_MIN;
/** It collects in steps, between which it serves; after this the settings of the start hold again. */
const LARGE_GIVE_UP_MS = 30_000;
/** The requests that end an idle time are not to pay for it. */
const IDLE_GIVE_UP_MS = 1_000;
/** Numbers of V8's full collection, as perf_hooks names it. */
const MAJOR = 4;

/**
 * For a proxy that has started and serves nothing yet: gives what the start has left in the heap back to the system, a sixth of all
 * memory that it has. V8 would keep it until requests have made as much again. This stops the process for as long as a few
 * requests take, so it is not for one that serves.
 */
export function collectNow(): void {
  // The other kinds keep free pages.
  collectBy({ type: 'major', flavor: 'last-resort' });
  returnFreeMemory();
}

/** After a reload: has V8 collect what the configuration of before has left, where that may be much. */
export function collectAfterReload(clock: Clock): void {
  if (isLarge()) collectSoon(clock, LARGE_GIVE_UP_MS);
}

/**
 * For a proxy that has served many requests and none for a while: has V8 collect what they have left, and keep no pages. That stops
 * the process for 30 ms; a heap of 400 MiB, which a large configuration makes, stops it for 0.3 s.
 */
export function collectWhenIdle(clock: Clock): void {
  collectSoon(clock, isLarge() ? LARGE_GIVE_UP_MS : IDLE_GIVE_UP_MS);
}

/** V8's compilers take and free much memory that is not the heap's, and glibc keeps it. */
export function returnFreeMemory(): void {
  loadAddon().addon?.releaseFreeMemory();
}

/** V8 lets a heap become at most four times as large before it collects: a hundredth of that is half of this. */
const growthBytes = (): number => Math.max(2 * 1_048_576, Math.ceil(getHeapStatistics().used_heap_size / 128) * 8);

/** Withdraws what `collectSoon` has asked for, while V8 has not done it. */
let withdraw: (() => void) | undefined;

/** Sets the flags back to those of the start, for code that is compiled now: V8 takes it only where the flags are the same. */
export function withdrawCollection(): void {
  withdraw?.();
}

/**
 * Gives the memory back to the system, too: V8 would keep it until the heap has grown as much again. `gc()` with its last resort
 * would do the same in three times the time; these flags make V8 begin a collection at its next opportunity, and keep no pages.
 */
function collectSoon(clock: Clock, giveUpMs: number): void {
  withdraw?.();
  const watching = new PerformanceObserver((list) => {
    if (!list.getEntries().some(isMajor)) return;
    stop();
    returnFreeMemory();
  });
  const timer = clock.after(giveUpMs, () => stop());
  const stop = () => {
    withdraw = undefined;
    watching.disconnect();
    timer[Symbol.dispose]();
    setFlagsFromString('--no-optimize-for-size');
    setFlagsFromString('--incremental-marking-hard-trigger=0');
  };
  withdraw = stop;
  watching.observe({ entryTypes: ['gc'] });
  setFlagsFromString('--optimize-for-size');
  setFlagsFromString('--incremental-marking-hard-trigger=1');
  // V8 looks at its flags behind a collection of young objects, which a process without work has none of; and it begins only where
  // the heap has grown since the last full collection, by a hundredth of what it may still grow. An array that is held meanwhile
  // has it grow; it stays until the next full collection.
  const growth = new Array<number>(growthBytes() / 8).fill(0);
  collectBy({ type: 'minor' });
  growth.length = 0;
}

function collectBy(options: { readonly type: 'major' | 'minor'; readonly flavor?: 'last-resort' }): void {
  setFlagsFromString('--expose-gc');
  try {
    const collect: unknown = runInNewContext('gc');
    if (typeof collect === 'function') collect(options);
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}

function isMajor(entry: object): boolean {
  const detail: unknown = 'detail' in entry ? entry.detail : undefined;
  return typeof detail === 'object' && detail !== null && 'kind' in detail && detail.kind === MAJOR;
}
