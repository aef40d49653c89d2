import { ProxyError } from '../contracts/failure.ts';
import { clientKeyOf } from '../protocol/addresses/client-key.ts';

/** Of one client: more than scripts run at once that send, shut down and read, and little of what may be open. */
const REQUESTS_MAX = 32;
const RETRY_AFTER_S = 1;

/** A connection whose client has ended, or sends so much ahead that its end cannot be seen. */
export interface EndedClient {
  readonly clientAddress: string;
  /** Whether its request still waits: no byte of a response has been written, which would show whether the client is there. */
  readonly isUnanswered: boolean;
  /** Refuses the request with that reason. */
  refuseRequest(why: ProxyError): void;
}

/**
 * Requests that wait though their client has ended. It may only have shut down its sending side (`nc -N`), or be gone:
 * on the wire both are the same FIN until something is written. So they go on, but not many of one client: each holds
 * two descriptors for as long as a target may take.
 */
export class EndedClients {
  readonly #ofClient = new Map<string, Set<EndedClient>>();

  /** Where there are too many, refuses the request that has waited longest. */
  add(connection: EndedClient): void {
    const key = clientKeyOf(connection.clientAddress);
    const all = this.#ofClient.get(key) ?? new Set();
    this.#ofClient.set(key, all.add(connection));
    if (all.size <= REQUESTS_MAX) return;
    for (const one of all) if (!one.isUnanswered) all.delete(one);
    const [oldest] = all;
    if (all.size <= REQUESTS_MAX || oldest === undefined) return;
    all.delete(oldest);
    oldest.refuseRequest(
      new ProxyError('at_capacity', `more than ${REQUESTS_MAX} requests of a client that has ended`, {
        clientDetail: 'Too many requests of this client wait for a response after it has shut down its sending side.',
        headers: [['Retry-After', String(RETRY_AFTER_S)]],
      }),
    );
  }

  delete(connection: EndedClient): void {
    const key = clientKeyOf(connection.clientAddress);
    const all = this.#ofClient.get(key);
    if (all?.delete(connection) && all.size === 0) this.#ofClient.delete(key);
  }
}
