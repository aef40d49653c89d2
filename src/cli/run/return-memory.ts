import type { Exporter } from '../../contracts/event.ts';
import type { Clock } from '../../util/clock.ts';
import { collectWhenIdle, returnFreeMemory } from './collect-heap.ts';
import { youngBytes } from './young-space.ts';

/** When no request has begun for so long, none waits for the milliseconds that it takes to return what is free. */
const QUIET_MS = 1_000;
/**
 * A full collection that keeps no pages also drops the compiled code of requests: V8 keeps code only while an object of each shape
 * is left that the code was made for. The next 2,000 requests cost three times as much, and so they would behind every pause.
 */
const IDLE_MS = 60_000;

/** Below it nearly all of the space for young objects is in use, and a collection would give back little. */
const YOUNG_BYTES_MIN = 4 * 1_048_576;

export interface MemoryReturns {
  /** No request has begun for a second. */
  quiet(): void;
  /** No request has begun for a minute. */
  idle(): void;
}

const returnsOf = (clock: Clock): MemoryReturns => ({
  quiet: returnFreeMemory,
  idle() {
    if (youngBytes() >= YOUNG_BYTES_MIN) collectWhenIdle(clock);
  },
});

/**
 * Has memory that was freed returned to the system once the requests pause. What V8's compilers have needed is free again
 * when they are done; glibc would keep it, 44 MiB after 60,000 requests. What the requests have left in the heap follows when
 * there has been none for a minute.
 */
export function returnMemory(clock: Clock, returns: MemoryReturns = returnsOf(clock)): Exporter {
  let state: 'serving' | 'quiet' | 'idle' = 'idle';
  let lastMs = 0;
  let timer: Disposable | undefined;
  const awaitQuiet = (delayMs: number): void => {
    timer = clock.after(delayMs, () => {
      const restMs = lastMs + QUIET_MS - clock.now();
      if (restMs > 0) return awaitQuiet(restMs);
      state = 'quiet';
      returns.quiet();
      timer = clock.after(IDLE_MS - QUIET_MS, () => {
        state = 'idle';
        returns.idle();
      });
    });
  };
  return {
    name: 'memory',
    only: ['request'],
    observe(event) {
      if (event.type !== 'request') return;
      lastMs = clock.now();
      if (state === 'serving') return;
      state = 'serving';
      timer?.[Symbol.dispose]();
      awaitQuiet(QUIET_MS);
    },
    [Symbol.asyncDispose]() {
      timer?.[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}
