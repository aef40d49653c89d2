import { ProxyError } from '../../contracts/failure.ts';
import type { EndedClient } from '../ended-clients.ts';
import type { PendingBytes } from '../pending-bytes.ts';
import type { Http1Context } from './context.ts';
import type { Http1Responder } from './responder.ts';

/** What it needs of the connection. */
export interface EndingConnection extends EndedClient {
  /** Whether bytes wait until the client takes them. */
  readonly hasUnsentBytes: boolean;
  /** The silence that is allowed begins anew. */
  touch(): void;
  /** Ends all that is in progress, now, and sends the client nothing. */
  abortAll(why: ProxyError): void;
}

/**
 * The FIN of a client. One that has left and one that has only finished sending send the same: bytes that go to the
 * client tell them apart, since one that has left answers them with a reset.
 */
export class ClientEnd {
  readonly #connection: EndingConnection;
  readonly #sentAhead: PendingBytes;
  readonly #context: Http1Context;
  /** Whether its FIN is here. */
  hasCome = false;
  /** Whether the connection is among the ended clients. */
  #isCounted = false;

  constructor(connection: EndingConnection, sentAhead: PendingBytes, context: Http1Context) {
    this.#connection = connection;
    this.#sentAhead = sentAhead;
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

  /** Waits for a sign of whether a client that has ended has left. */
  awaitSign(responder: Http1Responder): void {
    if (!this.mayHaveLeft(responder)) return;
    if (this.graceMs === 0) this.leave(responder);
    else this.#connection.touch();
  }

  /** There was none: the client counts as gone. */
  leave(responder: Http1Responder): void {
    const gone = new ProxyError('client_gone', `the client ended, and nothing was sent to it for ${this.graceMs} ms`);
    // Of what it sent ahead, nothing is served any more.
    this.#sentAhead.take();
    // A response that has begun is aborted by its own rules, so that a client that does read takes no part for the whole.
    if (responder.headersSent) responder.stop(gone);
    else this.#connection.abortAll(gone);
  }

  /** The client has ended, or sends so much ahead that its end cannot be seen: its requests are bounded in number. */
  count(): void {
    this.#isCounted = true;
    this.#context.ended.add(this.#connection);
  }

  /** No request waits on the connection any more. */
  uncount(): void {
    if (this.#isCounted) this.#context.ended.delete(this.#connection);
    this.#isCounted = false;
  }
}
