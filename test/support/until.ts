import { setTimeout as wait } from 'node:timers/promises';

const POLL_MS = 1;

/** Long enough for a loaded machine; a condition that has not become true by then never will. */
const UNTIL_MS_MAX = 30_000;

/** Polls each millisecond until `condition` is true; rejects with `what` (a sentence about what must become true) after `msMax`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  msMax = UNTIL_MS_MAX,
): Promise<void> {
  const deadline = performance.now() + msMax;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${msMax} ms: ${what}`);
    await wait(POLL_MS);
  }
}
