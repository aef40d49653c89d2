import type { Clock } from '../core/clock.ts';
import type { BodyMover } from '../core/contracts.ts';
import { asProxyError, type FailureCode, ProxyError } from '../core/failure.ts';
import type { Body, ClientInfo } from '../core/request.ts';
import { NO_SLOT, Seat } from '../core/roster.ts';
import type { Ownership, Receiver, Wire } from '../core/source.ts';
import type { Connection } from '../core/stages.ts';
import { Stop } from '../core/stop.ts';
import { handleForward, handleOwn, handleTunnel } from '../pipeline/handle.ts';
import { refuseMalformed } from '../pipeline/malformed.ts';
import type { Rooms } from '../pipeline/rooms.ts';
import { BodyReader } from '../protocol/body-reader.ts';
import { HeadBuffer, type HeadLimits, type HeadProgress } from '../protocol/head-buffer.ts';
import { isMethodTooLong, parseRequestLine } from '../protocol/request-head.ts';
import type { IdleWatch, Watched } from '../relay/idle-watch.ts';
import { Answer, type AnswerHost } from './answer.ts';
import { type ParsedRequest, readRequest } from './read-request.ts';
import { Stash } from './stash.ts';

/** A whole head may take this many times the silence that is allowed inside it: one byte now and then is no progress. */
const HEAD_TIMES = 6;
/** After our last byte we read on a little, so that a reset does not take the answer from the client (RFC 9112 §9.6). */
const LINGER_MS = 1_000;

/** What the connections of a listener share. */
export interface Http1Services {
  /** The rooms of the configuration that is in force when the request arrives. */
  rooms(): Rooms;
  nextId(): string;
  /** Whether the proxy is stopping: answers then close their connection. */
  draining(): boolean;
  readonly clock: Clock;
  readonly idle: IdleWatch;
  readonly bodies: BodyMover;
  readonly headLimits: HeadLimits;
  /** Silence of a client in front of its first request and inside any head, in milliseconds. */
  readonly requestHeadMs: number;
  /** Silence between two requests. */
  readonly keepAliveMs: number;
}

type State =
  /** Before or inside a head. */
  | { readonly at: 'head'; readonly buffer: HeadBuffer; readonly which: 'first' | 'next'; sinceMs: number }
  | { readonly at: 'request'; readonly kind: ParsedRequest['kind']; readonly abort: Stop }
  /** Nothing more is served; what still comes is thrown away. Once our last byte is out, the client has a moment to close. */
  | { readonly at: 'closing'; isFlushed: boolean }
  /** The socket is a tunnel's, which may take it elsewhere: ours is then closed long before the tunnel is over. */
  | { readonly at: 'left'; readonly abort: Stop; socket: 'open' | 'closed'; tunnel: 'open' | 'over' }
  | { readonly at: 'gone' };

/** One client connection in HTTP/1: one request at a time, in order, and nothing is read behind the last one. */
export class Http1Connection implements Receiver, Watched, AnswerHost {
  /** Among those who must not be silent for too long. */
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  /** Among the connections of its listener. */
  readonly seat: Seat<Http1Connection> = new Seat(this);
  readonly wire: Wire;
  readonly #client: ClientInfo;
  readonly #services: Http1Services;
  readonly #onClosed: (connection: Http1Connection) => void;
  #state: State;
  readonly #stash = new Stash();
  #clientEnded = false;
  /** The body of the request at hand, until it has been read to its end. */
  #openBody: BodyReader | undefined;
  #touched = false;

  /** `closed` is called once, when nothing of the connection is left. */
  constructor(wire: Wire, client: ClientInfo, services: Http1Services, closed: (connection: Http1Connection) => void) {
    this.wire = wire;
    this.#client = client;
    this.#services = services;
    this.#onClosed = closed;
    this.#state = this.#awaitHead('first');
    services.idle.watch(this);
    wire.stream.once('close', () => this.#closed());
    wire.deliverTo(this);
  }

  /** Whether closing it now would take something from somebody. */
  get busy(): boolean {
    return (
      this.#state.at === 'request' ||
      (this.#state.at === 'left' && this.#state.tunnel === 'open') ||
      (this.#state.at === 'closing' && !this.#state.isFlushed) ||
      (this.#state.at === 'head' && this.#state.buffer.length > 0)
    );
  }

  /** Closes a connection that is not busy. */
  close(): void {
    this.wire.stream.destroy();
  }

  /** Ends whatever is going on, now. */
  cut(reason: ProxyError): void {
    if (this.#state.at === 'request' || this.#state.at === 'left') this.#state.abort.abort(reason);
    if (!this.wire.stream.destroyed) this.wire.stream.destroy();
  }

  get bodies(): BodyMover {
    return this.#services.bodies;
  }

  get clock(): Clock {
    return this.#services.clock;
  }

  get limitMs(): number {
    if (this.#state.at === 'closing') return this.#state.isFlushed ? LINGER_MS : this.#services.rooms().times.idleMs;
    if (this.#state.at !== 'head') return 0;
    const { which, buffer } = this.#state;
    return which === 'first' || buffer.length > 0 ? this.#services.requestHeadMs : this.#services.keepAliveMs;
  }

  wasTouched(): boolean {
    const touched = this.#touched;
    this.#touched = false;
    return touched;
  }

  expired(): void {
    if (this.#state.at === 'head' && this.#state.buffer.length > 0)
      this.#refuseHead('client_too_slow', 'the head stopped');
    else this.wire.stream.destroy();
  }

  bytes(chunk: Buffer, ownership: Ownership): void {
    if (this.#state.at === 'head') {
      this.#touched = true;
      this.#headBytes(this.#state, chunk);
    } else if (this.#state.at === 'request') this.#keep(ownership === 'fresh' ? chunk : Buffer.from(chunk));
  }

  end(): void {
    this.#clientEnded = true;
    if (this.#state.at === 'head' || (this.#state.at === 'closing' && this.#state.isFlushed))
      this.wire.stream.destroy();
    // A client that ends before its tunnel is open and has sent nothing for it has gone away. One that has sent
    // something has only finished sending, and still wants the answer.
    else if (this.#state.at === 'request' && this.#state.kind === 'tunnel' && this.#stash.isEmpty) {
      this.cut(new ProxyError('client_gone', 'the client closed the connection'));
    }
  }

  failed(cause: Error): void {
    this.cut(new ProxyError('client_gone', 'the connection to the client broke', { cause }));
  }

  #awaitHead(which: 'first' | 'next'): State {
    return { at: 'head', buffer: new HeadBuffer(this.#services.headLimits), which, sinceMs: 0 };
  }

  #headBytes(state: State & { readonly at: 'head' }, chunk: Buffer): void {
    const { buffer } = state;
    const begins = buffer.length === 0;
    // No method begins like this: a TLS or SOCKS client at the wrong port learns it now, not when its time is up.
    const [first = 0] = chunk;
    if (begins && first < 0x21 && first !== 0x0d) return this.#refuseHead('bad_request', 'no request begins like this');
    const progress = buffer.add(chunk);
    if (progress.at === 'head') return this.#serve(progress.head, progress.rest);
    if (progress.at === 'refused') return this.#refuseHead(refusalOf(progress), `the request head: ${progress.why}`);
    if (progress.startLine !== undefined) {
      try {
        parseRequestLine(progress.startLine);
      } catch (thrown) {
        return this.#refuse(asProxyError(thrown));
      }
    }
    const now = this.#services.clock.now();
    if (begins) {
      state.sinceMs = now;
      this.#services.idle.lookSooner(this);
    } else if (now - state.sinceMs > this.#services.requestHeadMs * HEAD_TIMES) {
      this.#refuseHead('client_too_slow', 'the request head trickles');
    }
  }

  #serve(text: string, rest: Buffer): void {
    let parsed: ParsedRequest;
    try {
      parsed = readRequest(text, this.#services.headLimits.fieldsMax);
      if (this.#services.draining()) throw new ProxyError('draining', 'the proxy is stopping');
    } catch (thrown) {
      return this.#refuse(asProxyError(thrown));
    }
    const rooms = this.#services.rooms();
    const id = this.#services.nextId();
    const abort = new Stop();
    this.#state = { at: 'request', kind: parsed.kind, abort };
    rooms.tap?.({ type: 'wire', id, hop: 'client', sent: 'by-peer', head: text });
    const { method, version, headers } = parsed;
    const body = this.#bodyOf(parsed, rest);
    const { tap } = rooms;
    const show = tap && ((head: string) => tap({ type: 'wire', id, hop: 'client', sent: 'by-us', head }));
    const answer = new Answer(this, parsed, abort, show);
    const startedMs = rooms.clock.now();
    const common = { id, version, headers, client: this.#client, signal: abort, startedMs };
    switch (parsed.kind) {
      case 'tunnel': {
        void handleTunnel({ ...common, kind: 'tunnel', method: 'CONNECT', target: parsed.authority }, answer, rooms);
        break;
      }
      case 'forward': {
        const { authority: target, path, target: url } = parsed;
        void handleForward({ ...common, kind: 'forward', method, target, url, path, body }, answer, rooms);
        break;
      }
      case 'own':
        void handleOwn({ ...common, kind: 'own', method, path: parsed.path }, answer, rooms);
        break;
    }
  }

  /** A head that is no request, or came too slowly: nothing behind it can be trusted either. */
  #refuseHead(code: FailureCode, detail: string): void {
    this.#refuse(new ProxyError(code, detail));
  }

  #refuse(error: ProxyError): void {
    const abort = new Stop();
    this.#state = { at: 'request', kind: 'own', abort };
    const reply = refuseMalformed(error, this.#services.nextId(), this.#client, this.#services.rooms());
    void new Answer(this, LAST_REQUEST, abort, undefined).refuse(reply);
  }

  /** The rest of the read is the body's where there is one, and otherwise comes next. */
  #bodyOf({ framing }: ParsedRequest, rest: Buffer): Body | undefined {
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)) {
      this.#keep(rest);
      return undefined;
    }
    // Until somebody wants it, the body stays in the kernel.
    this.wire.deliverTo(undefined);
    this.#openBody = new BodyReader(this.wire, framing, rest, {
      // A client that shut down its sending side may still read the answer; one that broke off has gone.
      truncated: 'bad_request',
      broken: 'client_gone',
      malformed: 'bad_request',
      done: (behind) => {
        this.#openBody = undefined;
        this.#keep(behind);
        this.wire.deliverTo(this);
      },
    });
    return this.#openBody;
  }

  #keep(bytes: Buffer): void {
    this.#stash.add(bytes);
    if (this.#stash.isFull) this.wire.pause();
  }

  mayGoOn(): boolean {
    const isReading = !this.#clientEnded || !this.#stash.isEmpty;
    // A body that nobody has read stands in the way of the next request.
    return isReading && this.#openBody === undefined && !this.#services.draining();
  }

  answered(then: 'next' | 'close'): void {
    if (this.#state.at !== 'request') return;
    if (then === 'close' || !this.mayGoOn()) return this.#close();
    // In a turn of its own: a hundred pipelined requests would otherwise be a hundred stack frames. Until then the
    // request is still the one at hand, so that what comes meanwhile goes behind what is there, and an end behind both.
    if (!this.#stash.isEmpty) return queueMicrotask(() => this.#goOn());
    this.#state = this.#awaitHead('next');
    this.#touched = true;
    this.wire.resume();
  }

  #goOn(): void {
    if (this.#state.at !== 'request') return;
    const stash = this.#stash.take();
    this.#state = this.#awaitHead('next');
    this.#touched = true;
    this.bytes(stash, 'fresh');
    // A client that has ended sends no second half of a head.
    if (this.#clientEnded && this.#state.at === 'head') this.wire.stream.destroy();
    else if (this.#state.at === 'head' || this.#state.at === 'closing') this.wire.resume();
  }

  leave(abort: Stop): Connection {
    this.#state = { at: 'left', abort, socket: 'open', tunnel: 'open' };
    const early = this.#stash.take();
    this.wire.deliverTo(undefined);
    this.#services.idle.unwatch(this);
    return new Left(this, early);
  }

  /** Whoever has the socket needs it no more. */
  tunnelOver(): void {
    if (this.#state.at !== 'left' || this.#state.tunnel === 'over') return;
    this.#state.tunnel = 'over';
    // Later: whoever disposes a tunnel still has to account for it.
    if (this.#state.socket === 'closed') setImmediate(() => this.#closed());
    else this.wire.stream.destroy();
  }

  #close(): void {
    this.#state = { at: 'closing', isFlushed: false };
    this.#stash.take();
    this.#openBody?.abandon(new ProxyError('client_gone', 'the answer was complete before the request'));
    this.#openBody = undefined;
    // An expiry has ended the watch, and this is the last that anybody hears of the connection.
    this.#services.idle.watch(this);
    this.wire.stream.end(() => this.#flushed());
    this.wire.deliverTo(this);
  }

  /** Our FIN is out. A reset now, for bytes that nobody reads, could take the answer from the client (RFC 9112 §9.6). */
  #flushed(): void {
    if (this.#state.at !== 'closing') return;
    if (this.#clientEnded) return void this.wire.stream.destroy();
    this.#state.isFlushed = true;
    this.#touched = true;
    this.#services.idle.lookSooner(this);
  }

  #closed(): void {
    if (this.#state.at === 'left') {
      this.#state.socket = 'closed';
      if (this.#state.tunnel === 'open') return;
    }
    this.#services.idle.unwatch(this);
    this.wire.deliverTo(undefined);
    if (this.#state.at === 'request') {
      this.#state.abort.abort(new ProxyError('client_gone', 'the client closed the connection'));
    }
    this.#state = { at: 'gone' };
    this.#onClosed(this);
  }
}

/** The client's side of a tunnel. */
class Left implements Connection {
  readonly early: Buffer;
  readonly address: undefined = undefined;
  readonly #from: Http1Connection;

  constructor(from: Http1Connection, early: Buffer) {
    this.#from = from;
    this.early = early;
  }

  get wire(): Wire {
    return this.#from.wire;
  }

  [Symbol.dispose](): void {
    this.#from.tunnelOver();
  }
}

const LAST_REQUEST = { method: 'GET', version: '1.1', kind: 'own', persistent: false } as const;

type RefusedHead = HeadProgress & { readonly at: 'refused' };
const refusalOf = ({ why, begins }: RefusedHead): FailureCode =>
  why === 'start-line-too-long' && isMethodTooLong(begins) ? 'not_implemented' : REFUSED[why];

const REFUSED: Readonly<Record<RefusedHead['why'], FailureCode>> = {
  'start-line-too-long': 'target_too_long',
  'head-too-large': 'head_too_large',
  'bare-lf': 'bad_request',
};
