/** The only way that rooms learn the time, so that tests advance it instead of sleeping. */
export interface Clock {
  /** Milliseconds that never go backwards; only differences mean anything. */
  now(): number;
  /** Wall-clock time, for what a person reads and for quotas that outlive a restart. */
  wallMs(): number;
  /** Runs `task` once after `delayMs`; disposing cancels. The timer alone does not keep the process alive. */
  after(delayMs: number, task: () => void): Disposable;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
