import type { Exporter } from '../../contracts/event.ts';
import type { Clock } from '../../util/clock.ts';
import { collectInPause, returnFreeMemory } from './collect-heap.ts';
import { youngBytes } from './young-space.ts';

/** When no request has begun for so long, none waits for the milliseconds that it takes. */
const QUIET_MS = 1_000;

/** Below it nearly all of the space for young objects is in use, and a collection would give back little. */
const YOUNG_BYTES_MIN = 4 * 1_048_576;

const release = (clock: Clock): void => {
  if (youngBytes() >= YOUNG_BYTES_MIN) collectInPause(clock);
  else returnFreeMemory();
};

/**
 * Has memory that was freed returned to the system once the requests pause. What V8's compilers have needed is free again
 * when they are done; glibc would keep it, 44 MiB after 60,000 requests.
 */
export function returnMemory(clock: Clock, returnNow: (clock: Clock) => void = release): Exporter {
  let lastMs = 0;
  let check: Disposable | undefined;
  const checkAfter = (delayMs: number): void => {
    check = clock.after(delayMs, () => {
      check = undefined;
      const restMs = lastMs + QUIET_MS - clock.now();
      if (restMs > 0) checkAfter(restMs);
      else returnNow(clock);
    });
  };
  return {
    name: 'memory',
    only: ['request'],
    observe(event) {
      if (event.type !== 'request') return;
      lastMs = clock.now();
      if (check === undefined) checkAfter(QUIET_MS);
    },
    [Symbol.asyncDispose]() {
      check?.[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}
