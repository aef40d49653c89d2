import { type Clock, systemClock } from './clock.ts';
import { type Listed, Roster } from './roster.ts';

/** Probes start after a minute of silence, so that a peer that vanished is noticed before the idle limit. */
export const KEEP_ALIVE_DELAY_MS = 60_000;
/** Whoever is there at two looks is asked for probes: before the first could be due, since silence is what counts. */
const LOOK_MS = 20_000;

/** What it needs of a wire. */
export interface Probed extends Listed {
  /** Whether it was there at the last look; false at first. */
  wasSeen: boolean;
  askForProbes(delayMs: number): void;
}

/**
 * Turns TCP keep-alive on for sockets that last. Most are closed long before a probe could be due, and the kernel's four
 * options and the timer cost each of them as much as to write to it.
 */
export class LateKeepAlive {
  readonly #clock: Clock;
  readonly #young = new Roster<Probed>();
  #isLooking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those that have not been asked yet; never more than are open. */
  get size(): number {
    return this.#young.size;
  }

  /** One that is open, to be taken out again with `delete` when it closes. */
  add(wire: Probed): void {
    this.#young.add(wire);
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#clock.after(LOOK_MS, this.#look);
  }

  delete(wire: Probed): void {
    this.#young.delete(wire);
  }

  readonly #look = (): void => {
    for (const wire of this.#young) {
      if (!wire.wasSeen) wire.wasSeen = true;
      else if (this.#young.delete(wire)) wire.askForProbes(KEEP_ALIVE_DELAY_MS);
    }
    this.#isLooking = this.#young.size > 0;
    if (this.#isLooking) this.#clock.after(LOOK_MS, this.#look);
  };
}

/** For all sockets of this process. */
export const keepAlive = new LateKeepAlive(systemClock);
