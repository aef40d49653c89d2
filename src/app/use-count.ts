import type { Lifetime } from '../pipeline/services.ts';

/** Counts the requests that use the parts of one configuration. */
export class UseCount implements Lifetime {
  #users = 0;
  #onUnused: (() => void) | undefined;

  acquire(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#onUnused?.();
  }

  /** Resolves as soon as nothing uses the parts. To be called once, and when no further request will use them. */
  unused(): Promise<void> {
    if (this.#users === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onUnused = resolve;
    });
  }
}
