import type { BodyMover } from '../../contracts/body-mover.ts';
import type { BytesOnWire } from '../../contracts/client.ts';
import { asProxyError, ProxyError } from '../../contracts/failure.ts';
import type { ClientInfo } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { Ownership, Receiver, Wire } from '../../contracts/wire.ts';
import type { IdleTarget } from '../../net/idle-watch.ts';
import { recordRefused } from '../../pipeline/record-refused.ts';
import { NO_SLOT } from '../../util/slot-list.ts';
import type { Stop } from '../../util/stop.ts';
import type {
  AcceptedClient,
  ClientConnection,
  ClientPlace,
  ConnectionHost,
  EvictedClient,
} from '../client-protocol.ts';
import { ClientTunnel } from '../client-tunnel.ts';
import { ClientEnd, type EndingConnection } from './client-end.ts';
import { Http1ConnectionAuth } from './connection-auth.ts';
import type { Http1Context } from './context.ts';
import { dispatch } from './dispatch.ts';
import { HeadReader } from './head-reader.ts';
import { type ParsedRequest, readRequest } from './read-request.ts';
import { rejectionOf } from './rejection.ts';
import { RequestBytes } from './request-bytes.ts';
import { Http1Responder, type RequestInfo, type ResponderHost } from './responder.ts';
import { isBehind, UnreadOutput } from './unread-output.ts';

/** After our last byte we read on a little, so that a reset does not take the response from the client (RFC 9112 §9.6). */
const LINGER_MS = 1_000;

type State =
  | HeadReader
  | Http1Responder
  | ClientTunnel
  /** Nothing more is served; what still comes is thrown away. Once our last byte is out, the client has a moment to close. */
  | { readonly at: 'closing'; isFlushed: boolean; readonly lingers: boolean }
  | { readonly at: 'gone' };

/** One client connection in HTTP/1: one request at a time, in order, and nothing is read behind the last one. */
export class Http1Connection implements ClientConnection, Receiver, IdleTarget, ResponderHost, EndingConnection {
  /** Among the connections that must not be silent for too long. */
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  readonly wire: Wire;
  readonly #client: ClientInfo;
  readonly #context: Http1Context;
  readonly #place: ClientPlace;
  readonly #host: ConnectionHost;
  #state: State;
  readonly #bytes = new RequestBytes();
  readonly #end: ClientEnd;
  #touched = false;
  /** From the first plain request on. */
  #connectionAuth: Http1ConnectionAuth | undefined;
  /** Set when the request in progress is the last one: the proxy stops and refuses it, or it is to close behind it. */
  #last: 'aborted' | 'closing' | undefined;
  /** What of `wire.bytesRead` belongs to no request here, and to those that are over. */
  #bytesReadBefore: number;
  /** Set while the client has to take what was written before anything goes on. */
  #unread: UnreadOutput | undefined;

  constructor({ wire, client, early, place, host }: AcceptedClient, context: Http1Context) {
    this.wire = wire;
    this.#client = client;
    this.#context = context;
    this.#place = place;
    this.#host = host;
    this.#bytesReadBefore = (wire.bytesRead ?? 0) - early.length;
    this.#end = new ClientEnd(this, context);
    this.#state = new HeadReader('first', context);
    context.idle.watch(this);
    wire.stream.once('close', () => this.#closed());
    if (early.length === 0) wire.deliverTo(this);
    // Later: the listener has to count the connection first.
    else queueMicrotask(() => this.#begin(early));
  }

  #begin(early: Buffer): void {
    if (this.#state.at === 'gone') return;
    this.wire.deliverTo(this);
    this.bytes(early, 'fresh');
  }

  get active(): number {
    const state = this.#state;
    const isActive =
      state.at === 'request' ||
      (state.at === 'handed-off' && state.isOpen) ||
      (state.at === 'closing' && !state.isFlushed) ||
      (state.at === 'head' && state.hasBegun);
    return isActive ? 1 : 0;
  }

  close(): void {
    if (this.active > 0) this.#last ??= 'closing';
    else this.wire.stream.destroy();
  }

  evict(why: ProxyError, id: string): EvictedClient {
    this.#closed();
    return { wire: this.wire, rejection: rejectionOf(why, id, this.#context) };
  }

  abort(why: ProxyError): void {
    if (this.#state.at !== 'request' || !this.isUnanswered) return this.#abortAll(why);
    this.#last = 'aborted';
    this.#context.idle.rescheduleSooner(this);
    this.#state.stop(why);
  }

  /** Ends all that is in progress, now, and sends the client nothing. */
  #abortAll(why: ProxyError): void {
    if (this.#state.at === 'request' || this.#state.at === 'handed-off') this.#state.signal.abort(why);
    if (!this.wire.stream.destroyed) this.wire.stream.destroy();
  }

  get clientAddress(): string {
    return this.#client.address;
  }

  get isUnanswered(): boolean {
    return this.#state.at === 'request' && !this.#state.headersSent;
  }

  get hasUnsentBytes(): boolean {
    return this.wire.stream.writableLength > 0;
  }

  refuseRequest(why: ProxyError): void {
    if (this.#state.at === 'request') this.#state.stop(why);
  }

  get bytesOnWire(): BytesOnWire | undefined {
    const { bytesRead, bytesWritten } = this.wire;
    if (bytesRead === undefined || bytesWritten === undefined) return undefined;
    return { read: bytesRead - this.#bytes.length, written: bytesWritten };
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
    if (this.#unread !== undefined) return this.#context.services().timeouts.requestBodyMs;
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
    return this.#unread?.shrinks || touched;
  }

  expired(): void {
    if (this.#unread !== undefined) this.#leaveUnread();
    else if (this.#state.at === 'request') this.#endForGoneClient(this.#state);
    else if (this.#state.at === 'head' && this.#state.hasBegun)
      this.#refuse(new ProxyError('client_too_slow', 'the head stopped'));
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
    if (state.at === 'head' || (state.at === 'closing' && state.isFlushed)) this.wire.stream.destroy();
    if (state.at !== 'request') return;
    // A client that ends before its tunnel is open and has sent nothing for it has gone away. One that has sent
    // something has only finished sending, and still wants the response.
    if (state.request.kind === 'tunnel' && this.#bytes.isEmpty)
      return this.#abortAll(new ProxyError('client_gone', 'the client closed the connection'));
    if (this.isUnanswered) this.#end.count();
    this.#awaitSign(state);
  }

  /** Waits for a sign of whether a client that has ended has left. */
  #awaitSign(responder: Http1Responder): void {
    if (!this.#end.mayHaveLeft(responder)) return;
    if (this.#end.graceMs === 0) return this.#endForGoneClient(responder);
    this.#touched = true;
    this.#context.idle.rescheduleSooner(this);
  }

  #endForGoneClient(responder: Http1Responder): void {
    const gone = new ProxyError(
      'client_gone',
      `the client ended, and nothing was sent to it for ${this.#end.graceMs} ms`,
    );
    // Of what it sent ahead, nothing is served any more.
    this.#bytes.take();
    // A response that has begun is aborted by its own rules, so that a client that does read takes no part for the whole.
    if (responder.headersSent) responder.stop(gone);
    else this.#abortAll(gone);
  }

  failed(cause: Error): void {
    this.#abortAll(new ProxyError('client_gone', 'the connection to the client broke', { cause }));
  }

  /** The client reads no responses: a reset, so that it takes none for whole, and the kernel keeps nothing of them. */
  #leaveUnread(): void {
    this.refuseRequest(new ProxyError('client_too_slow', 'the client leaves its responses unread'));
    this.wire.reset();
  }

  #headBytes(reader: HeadReader, chunk: Buffer, ownership: Ownership): void {
    const progress = reader.add(chunk, ownership);
    if (progress.at === 'head') this.#serve(progress.head, progress.rest);
    else if (progress.at === 'refused') this.#refuse(progress.error);
    else if (progress.at === 'begun') this.#context.idle.rescheduleSooner(this);
  }

  #serve(text: string, rest: Buffer): void {
    let parsed: ParsedRequest;
    try {
      parsed = readRequest(text, this.#context.headLimits.fieldsMax);
    } catch (thrown) {
      return this.#refuse(asProxyError(thrown));
    }
    if (this.#context.draining()) {
      const authority = parsed.kind === 'tunnel' ? parsed.authority : undefined;
      return this.#refuse(new ProxyError('draining', 'the proxy is stopping'), { ...REFUSED_HEAD, authority });
    }
    const responder = this.#startRequest(parsed);
    const { id, services } = responder;
    services.tap?.({ type: 'head', id, hop: 'client', sent: 'by-peer', head: text });
    const body = this.#bytes.openBody(this.wire, parsed.framing, (behind) => this.#onBodyRead(behind));
    this.#store(rest);
    if (this.#end.hasCome || this.#bytes.isTooFarAhead) this.#end.count();
    this.#awaitSign(responder);
    dispatch(parsed, { client: this.#client, body }, responder, this.#context.sessions);
  }

  #startRequest(request: RequestInfo): Http1Responder {
    const written = this.wire.bytesWritten;
    const before = written === undefined ? undefined : { read: this.#bytesReadBefore, written };
    const responder = new Http1Responder(this, this.#context.nextId(), request, this.#context.services(), before);
    this.#state = responder;
    this.#place.markBusy();
    return responder;
  }

  /** A head that is no request, or came too slowly: nothing behind it can be trusted either. */
  #refuse(error: ProxyError, request: RequestInfo = REFUSED_HEAD): void {
    const responder = this.#startRequest(request);
    const { id, services } = responder;
    const refused = { id, protocol: 'http/1.1', client: this.#client, sent: responder.refuse(error) };
    recordRefused(error, refused, services, this.#context.sessions);
  }

  #onBodyRead(behind: Buffer): void {
    this.#store(behind);
    this.wire.deliverTo(this);
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
    this.#bytesReadBefore = (this.wire.bytesRead ?? 0) - this.#bytes.length;
    if (then === 'close') return this.#finish();
    const drained = this.whenDrained();
    if (drained === undefined) return this.#next();
    // Nothing more of it is read, either: it waits in the kernel, and then with the client.
    this.wire.pause();
    void drained.then(() => this.#next());
  }

  whenDrained(): Promise<void> | undefined {
    if (!isBehind(this.wire.stream)) return undefined;
    this.#unread = new UnreadOutput(this.wire.stream);
    this.#touched = true;
    this.#context.idle.rescheduleSooner(this);
    return this.#unread.taken.then(() => {
      this.#unread = undefined;
    });
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
    this.#place.markIdle();
    this.#touched = true;
    return new HeadReader('next', this.#context);
  }

  handOff(signal: Stop): Connection {
    const early = this.#bytes.take();
    const tunnel = new ClientTunnel({ wire: this.wire, early, signal, onOver: () => this.#closed() });
    this.#state = tunnel;
    this.wire.deliverTo(undefined);
    this.#context.idle.unwatch(this);
    this.#connectionAuth?.[Symbol.dispose]();
    return tunnel;
  }

  /** Closes behind what was written, and serves nothing more. */
  #finish(): void {
    // A client that has nothing more to send is reset by nothing of its own.
    const lingers = this.#last !== 'aborted' || this.#bytes.isBodyOpen || !this.#bytes.isEmpty;
    this.#state = { at: 'closing', isFlushed: false, lingers };
    this.#bytes.abandon('the response was complete before the request');
    // An expiry has ended the watch, and nothing else would close the connection.
    this.#context.idle.watch(this);
    if (this.hasUnsentBytes) this.#unread = new UnreadOutput(this.wire.stream);
    this.wire.stream.end(() => this.#flushed());
    this.wire.deliverTo(this);
  }

  /** Our FIN is out. A reset now, for bytes that are not read, could take the response from the client (RFC 9112 §9.6). */
  #flushed(): void {
    if (this.#state.at !== 'closing') return;
    if (this.#end.hasCome || !this.#state.lingers) return void this.wire.stream.destroy();
    this.#state.isFlushed = true;
    this.#unread = undefined;
    this.#place.markIdle();
    this.#touched = true;
    this.#context.idle.rescheduleSooner(this);
  }

  #closed(): void {
    if (this.#state.at === 'gone') return;
    this.#end.uncount();
    this.#connectionAuth?.[Symbol.dispose]();
    if (this.#state.at === 'handed-off') {
      this.#state.socketClosed();
      if (this.#state.isOpen) return;
    }
    this.#context.idle.unwatch(this);
    this.wire.deliverTo(undefined);
    // Only where it is read: an error costs as much as a tenth of a small request, for its stack.
    if (this.#state.at === 'request')
      this.refuseRequest(new ProxyError('client_gone', 'the client closed the connection'));
    this.#state = { at: 'gone' };
    this.#host.closed(this.#place);
  }
}

/** What stands for a request that is refused before it was read, or read to its end: nothing follows its response. */
const REFUSED_HEAD: RequestInfo = { method: 'GET', version: '1.1', kind: 'malformed', persistent: false };
