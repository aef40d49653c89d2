import type { BytesOnWire } from '../../contracts/client.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Body, Framing } from '../../contracts/request.ts';
import type { Wire } from '../../contracts/wire.ts';
import { BodyReader } from '../../protocol/http1/body-reader.ts';
import type { AcceptedClient } from '../client-protocol.ts';
import { PendingBytes } from '../pending-bytes.ts';

/** What a client sends behind the head of its request: a body, and what it sends ahead of its turn. */
export class RequestBytes extends PendingBytes {
  readonly #wire: Wire;
  /** What of `wire.bytesRead` belongs to no request of this connection, and to those that are over. */
  #readBefore: number;
  /** The body of the request in progress, until it has been read to its end. */
  #body: BodyReader | undefined;

  constructor({ wire, early }: Pick<AcceptedClient, 'wire' | 'early'>) {
    super();
    this.#wire = wire;
    this.#readBefore = (wire.bytesRead ?? 0) - early.length;
  }

  /** Of the connection, with the request in progress, and without what was sent ahead for the next one. */
  get soFar(): BytesOnWire | undefined {
    const { bytesRead, bytesWritten } = this.#wire;
    if (bytesRead === undefined || bytesWritten === undefined) return undefined;
    return { read: bytesRead - this.length, written: bytesWritten };
  }

  /** Of the connection, before a request whose response begins now. */
  get beforeRequest(): BytesOnWire | undefined {
    const { bytesWritten: written } = this.#wire;
    return written === undefined ? undefined : { read: this.#readBefore, written };
  }

  requestIsOver(): void {
    this.#readBefore = (this.#wire.bytesRead ?? 0) - this.length;
  }

  /** Whether a body stands in the way of the next request. */
  get isBodyOpen(): boolean {
    return this.#body !== undefined;
  }

  /** More was sent ahead than is kept here. A body may be longer than what is read of it ahead: that means nothing. */
  get isTooFarAhead(): boolean {
    return this.isFull && this.#body === undefined;
  }

  /**
   * The body that `framing` announces, if any. Until the upstream is ready for it, the body waits where all waits that is
   * sent ahead: a client that leaves meanwhile is noticed. What is more than that stays in the kernel. `done` gets the
   * bytes behind the body.
   */
  openBody(framing: Framing, done: (behind: Buffer) => void): Body | undefined {
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)) return undefined;
    this.#body = new BodyReader(this.#wire, framing, this, {
      // A client that shut down its sending side may still read the response; one that broke off has gone.
      truncated: 'bad_request',
      broken: 'client_gone',
      malformed: 'bad_request',
      done: (behind) => {
        this.#body = undefined;
        done(behind);
      },
    });
    return this.#body;
  }

  /** Nothing more is served: what was sent ahead is dropped, and the rest of the body is not read. */
  abandon(why: string): void {
    this.take();
    this.#body?.abandon(new ProxyError('client_gone', why));
    this.#body = undefined;
  }
}
