import type { OriginOwner } from '../../contracts/exchange.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { Receiver, Wire } from '../../contracts/wire.ts';
import type { ConnectionAuthState } from '../../upstream-auth/auth-state.ts';

/** Wires that an origin may have logged on. None of them ever serves another client, or is pooled. */
const AUTHENTICATED_WIRES = new WeakSet<Wire>();
export const markAuthenticated = (wire: Wire): void => void AUTHENTICATED_WIRES.add(wire);
export const isAuthenticated = (wire: Wire): boolean => AUTHENTICATED_WIRES.has(wire);

/** What makes an idle connection the right one for another request of its client. */
export interface ReuseTerms {
  /** Route and target. */
  readonly key: string;
  /** Of the proxy that reads the requests, if there is one. */
  readonly connectionState: Exclude<ConnectionAuthState, 'tainted'>;
  /** Of the pool: a reload or another network ends this connection as well. */
  readonly epoch: number;
}

/**
 * A connection that an origin has logged on, or is about to, while its client has no request on it. A byte, an end or an
 * error meanwhile ends it, and its client's connection with it.
 */
export class DedicatedConnection implements Receiver, Disposable {
  readonly terms: ReuseTerms;
  readonly connection: Connection;
  readonly #owner: OriginOwner;

  constructor(owner: OriginOwner, connection: Connection, terms: ReuseTerms) {
    this.#owner = owner;
    this.connection = connection;
    this.terms = terms;
    connection.wire.deliverTo(this);
  }

  /** Returns the connection, which is not watched any more. */
  take(): Connection {
    this.#owner.disown();
    this.connection.wire.deliverTo(undefined);
    return this.connection;
  }

  bytes(): void {
    this.#over();
  }

  end(): void {
    this.#over();
  }

  failed(): void {
    this.#over();
  }

  [Symbol.dispose](): void {
    this.connection.wire.deliverTo(undefined);
    this.connection[Symbol.dispose]();
  }

  #over(): void {
    this.#owner.disown();
    this[Symbol.dispose]();
    this.#owner.endWithOrigin();
  }
}
