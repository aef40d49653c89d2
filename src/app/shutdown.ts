import type { ListenerSet } from '../clients/listener-set.ts';
import type { DrainReport } from '../contracts/drain-report.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Clock } from '../util/clock.ts';

/** What is waited for, and ended when the time is over. */
export interface Draining {
  readonly listeners: ListenerSet;
  readonly sessions: Sessions;
}

/** The end of a proxy: it begins once, and a later call with less time shortens it. */
export class Shutdown {
  readonly #listeners: ListenerSet;
  readonly #sessions: Sessions;
  readonly #clock: Clock;
  /** Everything besides the listeners; disposed when no connection is left. */
  readonly #parts: AsyncDisposable;
  #result: Promise<DrainReport> | undefined;
  /** Requests in progress when they were ended; `undefined`: all have ended by themselves. */
  #aborted: number | undefined;

  constructor({ listeners, sessions }: Draining, clock: Clock, parts: AsyncDisposable) {
    this.#listeners = listeners;
    this.#sessions = sessions;
    this.#clock = clock;
    this.#parts = parts;
  }

  within(drainMs: number): Promise<DrainReport> {
    this.#sessions.beginDrain();
    this.#result ??= this.#end();
    if (drainMs <= 0) this.#abortAll();
    else {
      const timer = this.#clock.after(drainMs, () => this.#abortAll());
      void this.#result.finally(() => timer[Symbol.dispose]());
    }
    return this.#result;
  }

  async #end(): Promise<DrainReport> {
    await this.#listeners.drained();
    await this.#parts[Symbol.asyncDispose]();
    const aborted = (this.#aborted ?? 0) + this.#listeners.abortedLate;
    const { ended, longestMs } = this.#sessions.drained;
    return { finished: Math.max(0, ended - aborted), aborted, longestMs };
  }

  #abortAll(): void {
    this.#aborted ??= this.#sessions.size;
    this.#listeners.abort(new ProxyError('shutdown', 'the proxy was stopped'));
  }
}
