import type { Exporter } from '../../contracts/event.ts';
import type { Clock } from '../../util/clock.ts';
import { collectWhenIdle, returnFreeMemory } from './collect-heap.ts';

/** When no request has begun for so long, none waits for the milliseconds that it takes to return what is free. */
const QUIET_MS = 1_000;
/**
 * A full collection that keeps no pages also drops the compiled code of requests: V8 keeps code only while an object of each shape
 * is left that the code was made for. The next 2,000 requests cost three times as much, and so they would behind every pause.
 */
const IDLE_MS = 60_000;

/** Fewer leave so little in the heap that it is not worth their code. */
const REQUESTS_MIN = 1_000;

export interface MemoryReturns {
  /** No request has begun for a second. */
  quiet(): void;
  /** No request has begun for a minute, after many of them. */
  idle(): void;
}

const returnsOf = (clock: Clock): MemoryReturns => ({
  quiet: returnFreeMemory,
  idle: () => collectWhenIdle(clock),
});

/**
 * Has memory that was freed returned to the system once the requests pause. What V8's compilers have needed is free again
 * when they are done; glibc would keep it, 44 MiB after 60,000 requests. What many requests have left in the heap follows
 * when there has been none for a minute.
 */
export function returnMemory(clock: Clock, returns: MemoryReturns = returnsOf(clock)): Exporter {
  let state: 'serving' | 'quiet' | 'idle' = 'idle';
  let lastMs = 0;
  /** Since the heap was collected. */
  let requests = 0;
  let timer: Disposable | undefined;
  const awaitQuiet = (delayMs: number): void => {
    timer = clock.after(delayMs, () => {
      const restMs = lastMs + QUIET_MS - clock.now();
      if (restMs > 0) return awaitQuiet(restMs);
      state = 'quiet';
      returns.quiet();
      timer = clock.after(IDLE_MS - QUIET_MS, () => {
        state = 'idle';
        if (requests < REQUESTS_MIN) return;
        requests = 0;
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
      requests += 1;
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
