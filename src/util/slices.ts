import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from './clock.ts';

/** Work that can pause where it yields; its result is not used before it is done. */
export type Sliced<T> = Generator<void, T, void>;

/** A request takes about six turns of the event loop, and one slice may delay each of them. */
const SLICE_MS = 2;

/** Does all of it now. For a start, when nothing else is served. */
export function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Does it beside other work of the event loop, in slices of 2 ms. */
export async function inSlices<T>(work: Sliced<T>, clock: Clock): Promise<T> {
  for (;;) {
    const untilMs = clock.now() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done === true) return step.value;
    } while (clock.now() < untilMs);
    await nextTurn();
  }
}
