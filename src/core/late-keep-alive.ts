import type { Clock } from './clock.ts';

/** Probes start after a minute of silence, so that a peer that vanished is noticed before the idle limit. */
export const KEEP_ALIVE_DELAY_MS = 60_000;
/** Whoever is there at two looks is asked for probes: before the first could be due, since silence is what counts. */
const LOOK_MS = 20_000;

/** What it needs of a socket. */
export interface Probed {
  setKeepAlive(enable: boolean, delayMs: number): unknown;
}

/**
 * Turns TCP keep-alive on for sockets that last. Most are closed long before a probe could be due, and the kernel's four
 * options and the timer cost each of them as much as to write to it.
 */
export class LateKeepAlive {
  readonly #clock: Clock;
  #fresh = new Set<Probed>();
  #seen = new Set<Probed>();
  #isLooking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Sockets that have not been asked yet; never more than are open. */
  get size(): number {
    return this.#fresh.size + this.#seen.size;
  }

  /** An open socket, to be taken out again with `delete` when it closes. */
  add(socket: Probed): void {
    this.#fresh.add(socket);
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#clock.after(LOOK_MS, this.#look);
  }

  delete(socket: Probed): void {
    if (!this.#fresh.delete(socket)) this.#seen.delete(socket);
  }

  /** Does not wait for the next looks. */
  hurry(socket: Probed): void {
    if (this.#fresh.delete(socket) || this.#seen.delete(socket)) socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
  }

  readonly #look = (): void => {
    for (const socket of this.#seen) socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    this.#seen = this.#fresh;
    this.#fresh = new Set();
    this.#isLooking = this.#seen.size > 0;
    if (this.#isLooking) this.#clock.after(LOOK_MS, this.#look);
  };
}
