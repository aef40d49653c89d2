import type { BodyTerms } from './body-mover.ts';
import type { DecidedTunnel } from './decided-tunnel.ts';
import type { OriginOwner } from './exchange.ts';
import type { ProxyError } from './failure.ts';
import type { LocalResponse, ResponseHead } from './message.ts';
import type { Body } from './request.ts';
import type { Connection, Principal } from './stages.ts';

/** The head of a final response, as records and events have it. Protocols without a status use HTTP's. */
export type SentHead = Pick<ResponseHead, 'status' | 'headers'>;

/** Bytes of one connection that belong to one request. */
export interface BytesOnWire {
  readonly read: number;
  readonly written: number;
}

/** The client's end of one request: the protocol that the client speaks renders what the pipeline decides. */
export interface Responder {
  /**
   * What the request has brought, and its response has taken, on the client's connection so far: with heads, and without
   * what a tunnel moves. `undefined`: not counted, as where several requests share a connection.
   */
  readonly bytesOnWire?: BytesOnWire | undefined;
  /** Whether anything final has been sent to the client: a failure after that can only abort the response. */
  readonly headersSent: boolean;
  /**
   * Refuses in the words of the protocol: a status, a reply code, a stream error. Returns what the record says of it;
   * `undefined`: the client is gone.
   */
  refuse(error: ProxyError): SentHead | undefined;
  /** Ends the request for a reason outside of it: its signal aborts with that reason, in whichever step it is. */
  stop(why: ProxyError): void;
  /** Ends a response that has begun and cannot be completed, so that its client does not take it for complete. */
  abortResponse(): void;
}

/** The client's end of a CONNECT: it becomes a tunnel or it is refused, exactly one of the two. */
export interface TunnelResponder extends Responder {
  established(): Promise<Connection>;
  /** Before `established`: the next tunnels of this client for the same head may be opened without a decision of their own. */
  repeat?(decided: DecidedTunnel): void;
}

/** The client's end of a request for the proxy itself. */
export interface LocalResponder extends Responder {
  /** Sends a response of our own; `undefined`: the client is gone. */
  sendLocal(response: LocalResponse): SentHead | undefined;
}

/** The client's end of a forwarded request: any number of 1xx, then one final response. */
export interface ForwardResponder extends LocalResponder {
  readonly connectionAuth: ConnectionAuth;
  /** A promise: the client leaves too much unread, and has taken it when this resolves, or is gone. */
  sendInterim(head: ResponseHead): Promise<void> | undefined;
  /** Sends the head and then the body, if any; resolves with the body's bytes when all has been handed to the kernel. */
  respond(head: ResponseHead, body: Body | undefined, terms: ResponseTerms): Promise<number>;
  /** 101: the connection leaves HTTP. */
  upgrade(head: ResponseHead): Promise<Connection>;
}

/** Under which limits a response passes, and who counts it while it passes. */
export type ResponseTerms = Pick<BodyTerms, 'gate' | 'trailers' | 'silentMs' | 'stuckMs' | 'count'> & {
  /** Called when the head has been written. */
  onHeadWritten(): void;
  /** The request body that still moves while the response does; the connection is not closed before it settles. */
  readonly upload: Promise<unknown> | undefined;
};

/** Which users log on at origins over one client connection: NTLM and Negotiate log on a connection, not a request. */
export interface ConnectionAuth {
  /** Notes whose request comes next. `undefined`: the connection is shared, and must own nothing. */
  carry(principal: Principal, from: 'client' | 'proxy'): OriginOwner | undefined;
  /** True once: what is reported of a client connection need not be reported of each of its requests. */
  claimFirstReport(): boolean;
}
