import { ProxyError } from '../core/failure.ts';

/**
 * At most two at a time: bcrypt runs on the four threads of Node's pool, which also resolve host names and read files;
 * more would make every new connection of everybody wait for the passwords of a few.
 */
export const RUNNING_MAX = 2;
/** With bcrypt's cost 10 the last of these waits 4 s; more would only wait longer than their clients do. */
export const WAITING_MAX = 128;
const RETRY_AFTER_S = 1;

/** Runs work in the order in which it came, a bounded number at a time, and refuses what would wait too long. */
export class WorkQueue {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** Throws `at_capacity` when too many wait already. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= RUNNING_MAX) await this.#turn();
    else this.#running++;
    try {
      return await work();
    } finally {
      // The place goes to the next in line without becoming free, or a newcomer could take it first.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }

  #turn(): Promise<void> {
    if (this.#waiting.length >= WAITING_MAX) {
      throw new ProxyError('at_capacity', `${WAITING_MAX} passwords wait to be checked`, {
        told: 'Too many passwords are being checked.',
        fields: [['Retry-After', String(RETRY_AFTER_S)]],
      });
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}
