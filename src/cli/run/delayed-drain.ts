import type { DrainReport } from '../../contracts/drain-report.ts';
import type { Clock } from '../../util/clock.ts';
import type { Stoppable } from './signals.ts';

export interface DelayedDrainOptions {
  readonly clock: Clock;
  /** Read when the stop begins: a reload may have changed it. */
  delayMs(): number;
  /** Says to load balancers and to the service manager that this proxy stops. Called once. */
  announce(delayMs: number): void;
}

/**
 * A stop that is announced before it begins. A load balancer finds out by its next health check; until then it sends new
 * connections, and a listener that is closed meanwhile resets those that wait in its backlog.
 */
export class DelayedDrain {
  readonly #options: DelayedDrainOptions;
  #delay: { readonly over: Promise<void>; readonly end: () => void } | undefined;

  constructor(options: DelayedDrainOptions) {
    this.#options = options;
  }

  /** As `close` of the proxy, after the delay; with `drainMs: 0` at once, also while another call waits. */
  async close(proxy: Pick<Stoppable, 'close'>, how: { readonly drainMs: number }): Promise<DrainReport> {
    this.#delay ??= this.#announce();
    if (how.drainMs === 0) this.#delay.end();
    await this.#delay.over;
    return await proxy.close(how);
  }

  #announce(): { readonly over: Promise<void>; readonly end: () => void } {
    const { clock, announce, delayMs } = this.#options;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const waitMs = delayMs();
    announce(waitMs);
    if (waitMs === 0) resolve();
    const timer = waitMs === 0 ? undefined : clock.after(waitMs, resolve);
    return {
      over,
      end() {
        timer?.[Symbol.dispose]();
        resolve();
      },
    };
  }
}
