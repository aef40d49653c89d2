import { systemClock } from '../../util/clock.ts';
import { ApiClient } from '../top/api-client.ts';
import { findApi } from '../top/find-api.ts';

/** Longer than the drain, 30 s unless `timeouts.drain` says otherwise. */
const DRAIN_MS_MAX = 90_000;
const LOOK_MS = 250;

/**
 * Has the running proxy serve what is open, and end: Windows has no signal that a program could act on. Does nothing where
 * none runs.
 */
export async function drainRunning(stateDir: string): Promise<void> {
  const where = { stateDir, port: undefined, url: undefined, token: undefined };
  const untilMs = systemClock.now() + DRAIN_MS_MAX;
  try {
    await new ApiClient(await findApi(where)).drain();
    // Throws as soon as no proxy runs.
    for (; systemClock.now() < untilMs; await findApi(where))
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  } catch {
    // None runs, or it cannot be reached: the task is ended all the same.
  }
}
