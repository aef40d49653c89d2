/** libuv's threads where UV_THREADPOOL_SIZE is not set, and the largest number that it takes. */
const THREADS_DEFAULT = 4;
const THREADS_MAX = 1_024;

/** An allowance grows by one for each of these that its oldest lookup has been running. */
const GROWTH_MS = 500;

/**
 * How many names libuv looks up at the same time: half of its threads, rounded up. The others always stay free for
 * files, password hashes and GSS-API. `setting` is UV_THREADPOOL_SIZE, read as libuv reads it (`atoi`).
 */
export function lookupThreads(setting: string | undefined): number {
  const asked = setting === undefined ? THREADS_DEFAULT : Number.parseInt(setting, 10) || 1;
  return Math.ceil((asked < 0 ? THREADS_MAX : Math.min(asked, THREADS_MAX)) / 2);
}

/** The running lookups of a client, or those of a client in one domain. */
export interface RunningShare {
  readonly count: number;
  /** When the oldest of them began. */
  readonly sinceMs: number;
}

/**
 * How many of the lookup threads a client may hold, and how many a domain may. A lookup that hangs cannot be cancelled,
 * and the system's resolver gives up after 10 s or more, so no client and no domain may hold them all.
 *
 * The upper bounds follow from the threads that are free at the moment, as switches divide a shared buffer (Choudhury
 * and Hahne, "Dynamic Queue Lengths in a Shared Memory Packet Switch", 1998): the first client whose lookups hang gets
 * much and leaves something, the second gets much of that, and a client that holds no thread gets one while any is free.
 * Below them a client begins with a fixed number, and gets one more each half second while its oldest lookup hangs: so
 * its next name soon has a thread, and the upper bound is not reached before the oldest lookups end.
 */
export class LookupShares {
  readonly threads: number;
  readonly #clientFirst: number;
  readonly #domainFirst: number;

  constructor(threads: number) {
    this.threads = threads;
    this.#clientFirst = Math.max(1, Math.floor((threads * 3) / 8));
    this.#domainFirst = Math.max(1, Math.floor(threads / 8));
  }

  /** Whether so few lookups run that no domain can have reached a bound. */
  isQuiet(running: number): boolean {
    return running < this.#domainFirst;
  }

  /** A client alone gets three quarters of the threads at most. */
  allowsClient(client: RunningShare, free: number, nowMs: number): boolean {
    return free > 0 && canBegin(client, this.#clientFirst, 3 * (free - 1), nowMs);
  }

  /** A client alone gets half of the threads for one domain at most, and all clients together two thirds. */
  allowsDomain(ofClient: RunningShare, ofAll: number, free: number, nowMs: number): boolean {
    return (ofAll === 0 || ofAll < 2 * (free - 1)) && canBegin(ofClient, this.#domainFirst, free, nowMs);
  }
}

/** `first` at once and more with time, but not more than `most`; one in any case. */
const canBegin = ({ count, sinceMs }: RunningShare, first: number, most: number, nowMs: number): boolean =>
  count === 0 || (count < most && count < first + Math.floor((nowMs - sinceMs) / GROWTH_MS));
