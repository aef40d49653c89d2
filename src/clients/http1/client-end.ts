import type { EndedClient } from '../ended-clients.ts';
import type { Http1Context } from './context.ts';
import type { Http1Responder } from './responder.ts';

/** What it needs of the connection. */
export interface EndingConnection extends EndedClient {
  /** Whether bytes wait until the client takes them. */
  readonly hasUnsentBytes: boolean;
}

/**
 * The FIN of a client. One that has left and one that has only finished sending send the same: bytes that go to the
 * client tell them apart, since one that has left answers them with a reset.
 */
export class ClientEnd {
  readonly #connection: EndingConnection;
  readonly #context: Http1Context;
  /** Whether its FIN is here. */
  hasCome = false;
  /** Whether the connection is among the ended clients. */
  #isCounted = false;

  constructor(connection: EndingConnection, context: Http1Context) {
    this.#connection = connection;
    this.#context = context;
  }

  /** How long nothing may be sent to the client behind its FIN, in milliseconds. 0: it counts as gone at once. */
  get graceMs(): number {
    return this.#context.services().timeouts.clientGoneMs;
  }

  /** Whether the client may have left this request. A tunnel has its own rules. */
  mayHaveLeft({ request }: Http1Responder): boolean {
    return this.hasCome && request.kind !== 'tunnel';
  }

  /** Whether bytes have gone to the client since this was asked before, or still wait for it. */
  isSentTo(responder: Http1Responder): boolean {
    const { touched } = responder;
    responder.touched = false;
    return touched || this.#connection.hasUnsentBytes;
  }

  /** The client has ended, or sends so much ahead that its end cannot be seen: its requests are bounded in number. */
  count(): void {
    this.#isCounted = true;
    this.#context.ended.add(this.#connection);
  }

  /** The connection is closed. */
  uncount(): void {
    if (this.#isCounted) this.#context.ended.delete(this.#connection);
  }
}
