import type { Route } from '../core/stages.ts';

/** Hosts whose last answer is kept. A laptop meets some hundreds in a day; the one met longest ago goes first. */
const HOSTS_MAX = 2000;

/** What a script answered last for each host, for the moments in which it does not. */
export class LastAnswers {
  readonly #routes = new Map<string, readonly Route[]>();
  #source = '';

  keep(source: string, host: string, routes: readonly Route[]): void {
    // Another place may be another company's.
    if (source !== this.#source) this.#routes.clear();
    this.#source = source;
    this.#routes.delete(host);
    if (this.#routes.size >= HOSTS_MAX)
      for (const oldest of this.#routes.keys()) if (this.#routes.delete(oldest)) break;
    this.#routes.set(host, routes);
  }

  last(source: string, host: string): readonly Route[] | undefined {
    return source === this.#source ? this.#routes.get(host) : undefined;
  }
}
