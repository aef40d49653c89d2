import type { Route } from '../contracts/stages.ts';
import { LruMap } from '../util/lru-map.ts';

/** Hosts whose routes are kept. A laptop uses some hundreds in a day; the one used longest ago is dropped first. */
const HOSTS_MAX = 2000;

/** The routes that a script returned last for each host, for requests for which it fails. */
export class LastRoutes {
  #routes = new LruMap<string, readonly Route[]>(HOSTS_MAX);
  #source = '';

  set(source: string, host: string, routes: readonly Route[]): void {
    // Another location may belong to another company.
    if (source !== this.#source) this.#routes = new LruMap(HOSTS_MAX);
    this.#source = source;
    this.#routes.set(host, routes);
  }

  get(source: string, host: string): readonly Route[] | undefined {
    return source === this.#source ? this.#routes.get(host) : undefined;
  }
}
