import { Stop, type StopSignal } from '../util/stop.ts';

/** Work that several requests wait for. It is stopped when all of them have been aborted. */
export class SharedWork<T> {
  readonly #stop = new Stop();
  readonly #result: Promise<T>;
  #waiting = 0;

  private constructor(start: (stop: StopSignal) => Promise<T>) {
    this.#result = start(this.#stop);
  }

  /** The result of the work of that name in `all`, which is begun if it is not there. Rejects with the signal's reason. */
  static async join<T>(
    all: Map<string, SharedWork<T>>,
    name: string,
    signal: StopSignal,
    start: (stop: StopSignal) => Promise<T>,
  ): Promise<T> {
    if (signal.aborted) throw signal.reason;
    const work = all.get(name) ?? new SharedWork(start);
    all.set(name, work);
    const over = () => {
      if (all.get(name) === work) all.delete(name);
    };
    const leave = () => {
      work.#waiting -= 1;
      if (work.#waiting > 0) return;
      // Before the abort: a request that joins now begins new work, and is not stopped with the requests that left.
      over();
      work.#stop.abort(signal.reason);
    };
    work.#waiting += 1;
    signal.addEventListener('abort', leave);
    try {
      return await work.#result;
    } finally {
      signal.removeEventListener('abort', leave);
      over();
    }
  }
}
