import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { loadAddon } from '../../native/addon.ts';
import type { Clock } from '../../util/clock.ts';

/** A heap that is smaller holds no large configuration: after a reload it is left to V8. */
const WORTH_BYTES = 64 * 1_048_576;
/** A process that makes nothing new collects nothing either; after this V8's own settings hold again. */
const GIVE_UP_MS = 30_000;
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
  if (getHeapStatistics().used_heap_size >= WORTH_BYTES) collectSoon(clock);
}

/** For a proxy that has served many requests, and serves none at the moment: has V8 collect what they have left. */
export function collectInPause(clock: Clock): void {
  collectSoon(clock);
  // V8 looks at its flags behind a collection of young objects, and without requests there is none.
  collectBy({ type: 'minor' });
}

/** V8's compilers take and free much memory that is not the heap's, and glibc keeps it. */
export function returnFreeMemory(): void {
  loadAddon().addon?.releaseFreeMemory();
}

/**
 * Gives the memory back to the system, too: V8 would keep it until the heap has grown as much again. A collection that is asked for
 * stops the process for as long as it takes; instead these flags make V8 begin one at the next opportunity, which it does step by
 * step, and keep no pages.
 */
function collectSoon(clock: Clock): void {
  const watching = new PerformanceObserver((list) => {
    if (!list.getEntries().some(isMajor)) return;
    stop();
    returnFreeMemory();
  });
  const timer = clock.after(GIVE_UP_MS, () => stop());
  const stop = () => {
    watching.disconnect();
    timer[Symbol.dispose]();
    setFlagsFromString('--no-optimize-for-size');
    setFlagsFromString('--incremental-marking-hard-trigger=0');
  };
  watching.observe({ entryTypes: ['gc'] });
  setFlagsFromString('--optimize-for-size');
  setFlagsFromString('--incremental-marking-hard-trigger=1');
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
