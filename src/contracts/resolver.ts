import type { StopSignal } from '../util/stop.ts';

/** Addresses of a name, best first. Rejects with `dns_failed`, `dns_timeout`, or `at_capacity` when too many names wait. */
export interface Resolver {
  /** Addresses that need no waiting; `undefined` when the name has to be looked up. */
  known(host: string): readonly string[] | undefined;
  /** `client` is the address of the client that waits for it: names of one client do not hold up another's. */
  resolve(host: string, signal: StopSignal, client?: string): Promise<readonly string[]>;
}

/** In place of a client's address: what the proxy does of its own accord, as fetching a PAC. */
export const PROXY_ITSELF = 'this proxy';
