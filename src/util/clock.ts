/** The only source of time for modules, so that tests advance it instead of sleeping. */
export interface Clock {
  /** Milliseconds that never go backwards; only differences mean anything. */
  now(): number;
  /** Wall-clock time, for what a person reads and for quotas that outlive a restart. */
  wallMs(): number;
  /** Runs `task` once after `delayMs`; disposing cancels. The timer alone does not keep the process alive. */
  after(delayMs: number, task: () => void): Disposable;
}

/** As `performance.now()`, with another origin: that loads node:perf_hooks, of which a start needs nothing else. */
function now(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

export const systemClock: Clock = {
  now,
  wallMs: () => Date.now(),
  after: (delayMs, task) => new Timer(delayMs, task),
};

let pending = 0;

/** Timers of the system's clock that are set, in this thread. */
export const pendingTimers = (): number => pending;

class Timer implements Disposable {
  readonly #handle: NodeJS.Timeout;
  #isPending = true;

  constructor(delayMs: number, task: () => void) {
    pending += 1;
    this.#handle = setTimeout(() => {
      this.#end();
      task();
    }, delayMs);
    this.#handle.unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#handle);
    this.#end();
  }

  #end(): void {
    if (this.#isPending) pending -= 1;
    this.#isPending = false;
  }
}

/** Milliseconds that never go backwards, the same in all threads of the process; `now()` counts from a thread's start. */
export const sharedNow = (): number => performance.timeOrigin + performance.now();
