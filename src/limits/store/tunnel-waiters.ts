import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';
import { QUEUE_SHARE } from '../counting/tunnels.ts';
import type { TunnelOptions } from '../options.ts';
import type { Subject } from '../subject.ts';
import type { StoreLink } from './store-link.ts';

/** Requests that wait until a tunnel closes, on whichever instance, ask again this often. */
const RETRY_MS = 100;

/** A request while it is admitted. Disposing ends its wait. */
export interface TunnelWaiter extends Disposable {
  /** Resolves when it may ask again; `false`: it has waited for long enough, or too many wait. Rejects when it is stopped. */
  retry(options: TunnelOptions): Promise<boolean>;
}

/** Requests that wait for a place under a limit of tunnels, in the order in which they came. */
export class TunnelWaiters implements Disposable {
  readonly #clock: Clock;
  readonly #link: StoreLink;
  readonly #byClient = new Map<string, number>();
  #waiting = 0;
  #next: PromiseWithResolvers<void> | undefined;
  #timer: Disposable | undefined;

  constructor(clock: Clock, link: StoreLink) {
    this.#clock = clock;
    this.#link = link;
  }

  enter({ client }: Subject, signal: StopSignal): TunnelWaiter {
    let sinceMs: number | undefined;
    const onAbort = () => this.#wake();
    return {
      retry: async ({ wait, queue }) => {
        if (sinceMs === undefined) {
          const ofClient = this.#byClient.get(client) ?? 0;
          if (wait === 0 || this.#waiting >= queue || ofClient >= Math.max(1, queue / QUEUE_SHARE)) return false;
          sinceMs = this.#clock.now();
          this.#waiting += 1;
          this.#byClient.set(client, ofClient + 1);
          signal.addEventListener('abort', onAbort);
        }
        if (this.#clock.now() - sinceMs >= wait) return false;
        await this.#tick();
        if (signal.aborted) throw signal.reason;
        return true;
      },
      [Symbol.dispose]: () => {
        if (sinceMs === undefined) return;
        signal.removeEventListener('abort', onAbort);
        this.#waiting -= 1;
        const left = (this.#byClient.get(client) ?? 1) - 1;
        if (left > 0) this.#byClient.set(client, left);
        else this.#byClient.delete(client);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#wake();
  }

  #tick(): Promise<void> {
    this.#next ??= Promise.withResolvers<void>();
    this.#timer ??= this.#clock.after(this.#link.jittered(RETRY_MS), () => this.#wake());
    return this.#next.promise;
  }

  #wake(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const next = this.#next;
    this.#next = undefined;
    next?.resolve();
  }
}
