import { setTimeout as wait } from 'node:timers/promises';

const LOOK_MS = 10;
/** Long enough for a loaded machine. */
const STEADY_MS_MAX = 30_000;

/**
 * Looks at `measure` until it has not changed for `quietMs`, and resolves with it. For what cannot be asked for, as a
 * program cannot ask a kernel how much it still takes. Looks are counted and not only time, so that a stall of this
 * process is not mistaken for quiet.
 */
export async function untilSteady<T>(measure: () => T, quietMs: number, what: string): Promise<T> {
  const deadline = performance.now() + STEADY_MS_MAX;
  let before = measure();
  for (let same = 0; same < quietMs / LOOK_MS; ) {
    await wait(LOOK_MS);
    const now = measure();
    same = Object.is(now, before) ? same + 1 : 0;
    before = now;
    if (performance.now() > deadline) throw new Error(`not steady within ${STEADY_MS_MAX} ms: ${what}`);
  }
  return before;
}
