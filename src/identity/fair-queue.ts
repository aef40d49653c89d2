import { ProxyError } from '../contracts/failure.ts';
import type { Clock } from '../util/clock.ts';
import type { StopSignal } from '../util/stop.ts';
import { type Job, type Line, Lines } from './lines.ts';

/**
 * At most two at a time: bcrypt runs on the threads of Node's pool, which also resolve host names and read files; more
 * would make the new connections of all clients wait for the passwords of a few.
 */
export const RUNNING_MAX = 2;
/** One more for pairs that were right before: they do not wait for comparisons of unknown pairs. */
export const RUNNING_KNOWN_MAX = 3;
/** Comparisons that wait, and what they cost: 15 s of waiting, which is as long as most clients are patient. */
export const WAITING_MAX = 512;
const WAITING_US_MAX = 15_000_000 * RUNNING_MAX;
/** Different passwords of one user from one client at once: a person types one at a time. */
export const LINE_WAITING_MAX = 8;

/** A pair of user name and password to be compared. */
export interface Attempt {
  /** Address of the client, or block of addresses. */
  readonly client: string;
  readonly user: string;
  /** `known`: the pair was right before. */
  readonly pair: 'known' | 'unknown';
  readonly costUs: number;
}

/**
 * Runs comparisons of passwords, a bounded number at a time: pairs that were right before first, and then in turns, so
 * that a client waits for its own attempts and not for those of others. When too many wait, the newest one of the client
 * with most is refused.
 */
export class FairQueue {
  readonly #lines: Lines;
  /** At most as many as pairs are remembered. */
  readonly #known: Job[] = [];
  #running = 0;

  constructor(clock: Clock) {
    this.#lines = new Lines(clock, () => this.#startNext());
  }

  /** Comparisons that wait. */
  get size(): number {
    return this.#known.length + this.#lines.waiting;
  }

  /**
   * `null` from `work` is a wrong password. Rejects with `at_capacity` or `rate_limited` when too many wait, and with the
   * signal's reason when that aborts before the work has begun, which is then not done.
   */
  run<T>(attempt: Attempt, work: () => Promise<T | null>, signal: StopSignal): Promise<T | null> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const line = attempt.pair === 'known' ? undefined : this.#lines.of(attempt.client, attempt.user);
    const refusal = line && this.#makeSpace(line, attempt.costUs);
    if (line !== undefined && refusal !== undefined) {
      this.#lines.settle(line);
      return Promise.reject(refusal);
    }
    const { promise, resolve, reject } = Promise.withResolvers<T | null>();
    const onAbort = () => {
      this.#remove(job, line);
      reject(signal.reason);
    };
    const job: Job = {
      costUs: attempt.costUs,
      async start() {
        signal.removeEventListener('abort', onAbort);
        try {
          const result = await work();
          resolve(result);
          return result !== null;
        } catch (error) {
          reject(error);
          return undefined;
        }
      },
      drop(error) {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    };
    signal.addEventListener('abort', onAbort);
    if (line === undefined) this.#known.push(job);
    else this.#lines.add(job, line);
    this.#startNext();
    return promise;
  }

  #remove(job: Job, line: Line | undefined): void {
    if (line !== undefined) return void this.#lines.remove(job, line);
    const at = this.#known.indexOf(job);
    if (at >= 0) this.#known.splice(at, 1);
  }

  /** Refuses jobs of clients with more than their share until one more may wait in this line; returns why it may not. */
  #makeSpace(line: Line, costUs: number): ProxyError | undefined {
    if (line.jobs.length >= LINE_WAITING_MAX) return tooManyOfOne();
    const lines = this.#lines;
    while (lines.waiting >= WAITING_MAX || (lines.waiting > 0 && lines.waitingUs + costUs > WAITING_US_MAX)) {
      const fullest = lines.fullest(line);
      const newest = fullest?.jobs.at(-1);
      if (fullest === undefined || newest === undefined) return full(lines.waiting);
      lines.remove(newest, fullest);
      newest.drop(full(lines.waiting));
    }
    return undefined;
  }

  #startNext(): void {
    while (this.#running < RUNNING_KNOWN_MAX) {
      const job = this.#known.shift();
      if (job === undefined) break;
      this.#start(job, () => undefined);
    }
    while (this.#running < RUNNING_MAX) {
      const next = this.#lines.take();
      if (next === undefined) break;
      this.#start(next.job, (isRight) => this.#lines.ended(next.line, isRight));
    }
  }

  #start(job: Job, ended: (isRight: boolean | undefined) => void): void {
    this.#running += 1;
    void job.start().then((isRight) => {
      this.#running -= 1;
      ended(isRight);
      this.#startNext();
    });
  }
}

const full = (waiting: number): ProxyError =>
  new ProxyError('at_capacity', `${waiting} passwords wait to be checked`, {
    clientDetail: 'Too many passwords are being checked. Try again in a second.',
    headers: [['Retry-After', '1']],
  });

const tooManyOfOne = (): ProxyError =>
  new ProxyError('rate_limited', `${LINE_WAITING_MAX} passwords of one user from one address wait to be checked`, {
    clientDetail: 'Too many passwords of this user are being checked. Try again in 5 seconds.',
    headers: [['Retry-After', '5']],
  });
