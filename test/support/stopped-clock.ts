import { type Clock, systemClock } from '../../src/util/clock.ts';

/**
 * A clock whose time does not pass, while its timers run in real time. For what happens at once, and would take a second and
 * more on a busy machine, so that rules about old things would apply.
 */
export const stoppedClock: Clock = {
  now: () => 0,
  wallMs: () => Date.UTC(2025, 0, 1),
  after: (delayMs, task) => systemClock.after(delayMs, task),
};
