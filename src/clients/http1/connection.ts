import type { BodyMover } from '../../contracts/body-mover.ts';
import type { DecidedTunnel } from '../../contracts/decided-tunnel.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Body, ClientInfo, Framing } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { Ownership, Wire } from '../../contracts/wire.ts';
import type { Services } from '../../pipeline/services.ts';
import { NO_SLOT } from '../../util/slot-list.ts';
import type { Stop } from '../../util/stop.ts';
import type { AcceptedClient, ClientConnection, EvictedClient } from '../client-protocol.ts';
import { ClientSocket, type SocketUser } from '../client-socket.ts';
import type { ClientTunnel } from '../client-tunnel.ts';
import { ClientEnd, type EndingConnection } from './client-end.ts';
import { ClientOutput } from './client-output.ts';
import { Closing, LINGER_MS } from './closing.ts';
import { Http1ConnectionAuth } from './connection-auth.ts';
import type { Http1Context } from './context.ts';
import { FirstHead } from './first-head.ts';
import { HeadReader } from './head-reader.ts';
import { RequestReader } from './read-request.ts';
import { rejectionOf } from './rejection.ts';
import { RequestBytes } from './request-bytes.ts';
import { Http1Responder, type RequestInfo, type ResponderHost } from './responder.ts';
import { type HeadHost, refuseHead, serveHead } from './serve-head.ts';

type State = HeadReader | Http1Responder | ClientTunnel | Closing | { readonly at: 'gone' };

/** One client connection in HTTP/1: one request at a time, in order, and nothing is read behind the last one. */
export class Http1Connection implements ClientConnection, SocketUser, ResponderHost, HeadHost, EndingConnection {
  /** Among the connections that must not be silent for too long. */
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  readonly wire: Wire;
  readonly client: ClientInfo;
  readonly reader: RequestReader;
  readonly #context: Http1Context;
  readonly #accepted: AcceptedClient;
  readonly #socket: ClientSocket;
  #state: State;
  readonly #bytes: RequestBytes;
  readonly #end: ClientEnd;
  #touched = false;
  /** From the first plain request on. */
  #connectionAuth: Http1ConnectionAuth | undefined;
  /** Set when the request in progress is the last one: the proxy stops and refuses it, or it is to close behind it. */
  #last: 'aborted' | 'closing' | undefined;
  readonly #output: ClientOutput;
  #firstHead: FirstHead | undefined;

  constructor(accepted: AcceptedClient, context: Http1Context) {
    this.wire = accepted.wire;
    this.client = accepted.client;
    // Decisions are repeated only where no program takes part in them.
    this.reader = new RequestReader(context.repeats === undefined ? 'nothing' : 'last');
    this.#context = context;
    this.#accepted = accepted;
    this.#socket = new ClientSocket(accepted, this, context);
    this.#bytes = new RequestBytes(accepted);
    this.#output = new ClientOutput(accepted.wire.stream);
    this.#end = new ClientEnd(this, this.#bytes, context);
    this.#state = new HeadReader('first', context);
    this.#socket.begin();
  }

  get active(): number {
    const state = this.#state;
    const isActive =
      state.at === 'request' ||
      (state.at === 'handed-off' && state.isOpen) ||
      (state.at === 'closing' && state.isActive) ||
      (state.at === 'head' && state.hasBegun);
    return isActive ? 1 : 0;
  }

  close(): void {
    if (this.active > 0) this.#last ??= 'closing';
    else this.wire.stream.destroy();
  }

  evict(why: ProxyError, id: string): EvictedClient {
    this.#socket.closed();
    return { wire: this.wire, rejection: rejectionOf(why, id, this.#context) };
  }

  abort(why: ProxyError): void {
    if (this.#state.at !== 'request' || !this.isUnanswered) return this.abortAll(why);
    this.#last = 'aborted';
    this.#context.idle.rescheduleSooner(this);
    this.#state.stop(why);
  }

  abortAll(why: ProxyError): void {
    if (this.#state.at === 'request' || this.#state.at === 'handed-off') this.#state.signal.abort(why);
    if (!this.wire.stream.destroyed) this.wire.stream.destroy();
  }

  get clientAddress(): string {
    return this.client.address;
  }

  get isUnanswered(): boolean {
    return this.#state.at === 'request' && !this.#state.headersSent;
  }

  get hasUnsentBytes(): boolean {
    return this.#output.hasUnsentBytes;
  }

  refuseRequest(why: ProxyError): void {
    if (this.#state.at === 'request') this.#state.stop(why);
  }

  get bodies(): BodyMover {
    return this.#context.bodies;
  }

  get connectionAuth(): Http1ConnectionAuth {
    this.#connectionAuth ??= new Http1ConnectionAuth(() => {
      // In the middle of a request, nothing follows its response.
      if (this.#state.at === 'head' && !this.#state.hasBegun) this.#finish();
    });
    return this.#connectionAuth;
  }

  get limitMs(): number {
    const state = this.#state;
    if (this.#last === 'aborted') return LINGER_MS;
    if (this.#output.isAwaited) return this.#context.services().timeouts.requestBodyMs;
    if (state.at === 'closing') return LINGER_MS;
    // 0 has ended the request at once, and a reload may bring it later.
    if (state.at === 'request' && this.#end.mayHaveLeft(state)) return Math.max(this.#end.graceMs, 1);
    return state.at === 'head' ? state.limitMs : 0;
  }

  wasTouched(): boolean {
    const state = this.#state;
    const isRead = state.at === 'request' && this.#end.mayHaveLeft(state) && this.#end.isSentTo(state);
    const touched = this.#touched || isRead;
    this.#touched = false;
    return this.#output.wasTaken() || touched;
  }

  expired(): void {
    if (this.#output.isAwaited) {
      // It reads no responses: a reset, so that it takes none for whole, and the kernel keeps nothing of them.
      this.refuseRequest(new ProxyError('client_too_slow', 'the client leaves its responses unread'));
      this.wire.reset();
    } else if (this.#state.at === 'request') this.#end.leave(this.#state);
    else if (this.#state.at === 'head' && this.#state.hasBegun)
      refuseHead(new ProxyError('client_too_slow', 'the head stopped'), this, this.#context);
    else this.wire.stream.destroy();
  }

  bytes(chunk: Buffer, ownership: Ownership): void {
    if (this.#state.at === 'head') {
      this.#touched = true;
      this.#headBytes(this.#state, chunk, ownership);
    } else if (this.#state.at === 'request') this.#store(ownership === 'fresh' ? chunk : Buffer.from(chunk));
  }

  end(): void {
    this.#end.hasCome = true;
    const state = this.#state;
    if (state.at === 'head') this.wire.stream.destroy();
    if (state.at === 'closing') state.clientEnded();
    if (state.at !== 'request') return;
    // A client that ends before its tunnel is open and has sent nothing for it has gone away. One that has sent
    // something has only finished sending, and still wants the response.
    if (state.request.kind === 'tunnel' && this.#bytes.isEmpty)
      return this.abortAll(new ProxyError('client_gone', 'the client closed the connection'));
    if (this.isUnanswered) this.#end.count();
    this.#end.awaitSign(state);
  }

  /** The silence that is allowed begins anew. */
  touch(): void {
    this.#touched = true;
    this.#context.idle.rescheduleSooner(this);
  }

  failed(cause: Error): void {
    this.abortAll(new ProxyError('client_gone', 'the connection to the client broke', { cause }));
  }

  #headBytes(reader: HeadReader, chunk: Buffer, ownership: Ownership): void {
    const progress = reader.add(chunk, ownership);
    if (progress.at === 'head') {
      if (reader.which === 'first') this.#firstHead = FirstHead.of(progress.head, this.#context);
      serveHead(progress.head, progress.rest, this, this.#context);
    } else if (progress.at === 'refused') refuseHead(progress.error, this, this.#context);
    else if (progress.at === 'begun') this.#context.idle.rescheduleSooner(this);
  }

  repeat(decided: DecidedTunnel, response: string, services: Services): void {
    this.#firstHead?.repeat(decided, response, this.#accepted, this.#context, services);
  }

  startRequest(request: RequestInfo): Http1Responder {
    const context = this.#context;
    const responder = new Http1Responder(this, context.nextId(), request, context.services(), this.#bytes);
    this.#state = responder;
    this.#accepted.place.markBusy();
    return responder;
  }

  openBody(responder: Http1Responder, framing: Framing, rest: Buffer): Body | undefined {
    const body = this.#bytes.openBody(framing, (behind) => {
      this.#store(behind);
      this.wire.deliverTo(this);
    });
    this.#store(rest);
    if (this.#end.hasCome || this.#bytes.isTooFarAhead) this.#end.count();
    this.#end.awaitSign(responder);
    return body;
  }

  /** Keeps what was sent ahead: the rest of a read is the body's where there is one, and otherwise comes next. */
  #store(bytes: Buffer): void {
    this.#bytes.add(bytes);
    if (!this.#bytes.isFull) return;
    this.wire.pause();
    // The kernel keeps the rest, and the client's end behind it, be it a reset.
    if (this.#bytes.isTooFarAhead && this.isUnanswered) this.#end.count();
  }

  canServeAnother(): boolean {
    const isReading = !this.#end.hasCome || !this.#bytes.isEmpty;
    const isOver = this.#connectionAuth?.isOver === true || this.#last !== undefined || this.#context.draining();
    return isReading && !this.#bytes.isBodyOpen && !isOver;
  }

  responseSent(then: 'next' | 'close'): void {
    if (this.#state.at !== 'request') return;
    if (then === 'close') return this.#finish();
    const drained = this.whenDrained();
    if (drained === undefined) return this.#next();
    // Nothing more of it is read, either: it waits in the kernel, and then with the client.
    this.wire.pause();
    void drained.then(() => this.#next());
  }

  whenDrained(): Promise<void> | undefined {
    const drained = this.#output.whenDrained();
    if (drained !== undefined) this.touch();
    return drained;
  }

  #next(): void {
    if (this.#state.at !== 'request') return;
    if (!this.canServeAnother()) return this.#finish();
    // In a turn of its own: a hundred pipelined requests would otherwise be a hundred stack frames. Until then the
    // request is still in progress, so that what comes meanwhile goes behind what is there, and an end behind both.
    if (!this.#bytes.isEmpty) return queueMicrotask(() => this.#continue());
    this.#state = this.#awaitNext();
    this.wire.resume();
  }

  #continue(): void {
    if (this.#state.at !== 'request') return;
    const pending = this.#bytes.take();
    this.#state = this.#awaitNext();
    this.bytes(pending, 'fresh');
    // A client that has ended sends no second half of a head.
    const { at } = this.#state;
    if (this.#end.hasCome && at === 'head') this.wire.stream.destroy();
    else if (at === 'head' || at === 'closing') this.wire.resume();
  }

  #awaitNext(): State {
    this.#accepted.place.markIdle();
    this.#touched = true;
    return new HeadReader('next', this.#context);
  }

  handOff(signal: Stop): Connection {
    this.#firstHead = undefined;
    this.reader.forget();
    const tunnel = this.#socket.handOff(this.#bytes.take(), signal);
    this.#state = tunnel;
    this.#end.uncount();
    this.#connectionAuth?.[Symbol.dispose]();
    return tunnel;
  }

  /** Closes behind what was written, and serves nothing more. */
  #finish(): void {
    const mayBeSending = this.#last !== 'aborted' || this.#bytes.isBodyOpen || !this.#bytes.isEmpty;
    const closing = new Closing({
      stream: this.wire.stream,
      lingering: mayBeSending ? 'read-on' : 'leave-at-once',
      hasEnded: () => this.#end.hasCome,
      onFlushed: () => {
        this.#output.isOut();
        this.#accepted.place.markIdle();
        this.touch();
      },
    });
    this.#state = closing;
    this.#bytes.abandon('the response was complete before the request');
    // An expiry has ended the watch, and nothing else would close the connection.
    this.#context.idle.watch(this);
    this.#output.awaitLast();
    closing.begin();
    this.wire.deliverTo(this);
  }

  onClosed(): void {
    this.#end.uncount();
    this.#connectionAuth?.[Symbol.dispose]();
    // Only where it is read: an error costs as much as a tenth of a small request, for its stack.
    if (this.#state.at === 'request')
      this.refuseRequest(new ProxyError('client_gone', 'the client closed the connection'));
    this.#state = { at: 'gone' };
  }
}
