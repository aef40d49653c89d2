import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConnectionAuth } from '../../contracts/client.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { IdleTarget } from '../../net/idle-watch.ts';
import { recordRefused } from '../../pipeline/record-refused.ts';
import { NO_SLOT } from '../../util/slot-list.ts';
import type { AcceptedClient, ClientConnection, EvictedClient } from '../client-protocol.ts';
import type { Http1Context } from '../http1/context.ts';
import { rejectionOf } from '../http1/rejection.ts';
import { FloodGuard } from './flood-guard.ts';
import { Http2Responder } from './responder.ts';
import { type OpenedStream, serveStream } from './serve-stream.ts';
import { sessionFailure, withRightEnds } from './session-errors.ts';

/** More than the hundred that browsers open; what each may hold stands in docs/LIMITS.md. */
const STREAMS_MAX = 128;
/** What a client may send ahead on one stream: twice what HTTP/2 begins with, for uploads over long ways. */
const WINDOW_BYTES = 131_072;
/** Streams that are reported in one turn of the loop: with more than this, some of them were reset within it. */
const FRESH_MAX = 2 * STREAMS_MAX;
/** Megabytes of one session, above which it gets no further stream: all of its streams with a read of the relay each. */
const SESSION_MEMORY_MB = 64;
/** A session with streams is asked whether its client is still there; a client that has vanished says nothing. */
const PING_INTERVAL_MS = 30_000;
/** Megabytes may be on their way to a slow client in front of the PING. What the client sends meanwhile counts as an answer. */
const PONG_MS = 60_000;
/**
 * The same behind a GOAWAY of the client: of an error that follows one, nghttp2 takes no more notice than to read nothing any
 * more, and the end of the connection would not be seen.
 */
const PING_LEAVING_MS = 2_000;
/** After our last frame the client has a moment to close. */
const LINGER_MS = 1_000;

const SESSION: ServerOptions = {
  settings: {
    maxConcurrentStreams: STREAMS_MAX,
    initialWindowSize: WINDOW_BYTES,
    enableConnectProtocol: true,
    maxHeaderListSize: 65_536,
  },
  maxSessionMemory: SESSION_MEMORY_MB,
  maxSettings: 32,
  maxSessionInvalidFrames: 100,
  // Ours counts before: nghttp2 would end the session as if the fault were this side's.
  streamResetBurst: 100_000,
  streamResetRate: 100_000,
  strictFieldWhitespaceValidation: true,
};

const NOTHING = Buffer.alloc(0);

/** A connection of several users at once logs no user on (RFC 4559 §6). */
class SharedConnection implements ConnectionAuth {
  #hasReported = false;

  carry(): undefined {}

  claimFirstReport(): boolean {
    const isFirst = !this.#hasReported;
    this.#hasReported = true;
    return isFirst;
  }
}

/** One client connection in HTTP/2: many requests and tunnels at once, each on its own stream. */
export class Http2Connection implements ClientConnection, IdleTarget {
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  readonly #accepted: AcceptedClient;
  readonly #context: Http1Context;
  readonly #session: ServerHttp2Session;
  readonly #guard: FloodGuard;
  readonly #connectionAuth: ConnectionAuth = new SharedConnection();
  readonly #requests = new Set<Http2Responder>();
  /** Reported in this turn of the loop, and not served yet. */
  #fresh: OpenedStream[] = [];
  /** `ending`: the last frames are on their way, and then the socket is closed, also where the client does not. */
  #state: 'open' | 'pinged' | 'closing' | 'ending' | 'gone' = 'open';
  readonly #socket: Duplex;
  #bytesRead = 0;
  #hasServed = false;
  #isAborted = false;
  /** Streams that have been reset with PROTOCOL_ERROR, and are closed. */
  #faultyBefore = 0;
  #touched = false;

  constructor(accepted: AcceptedClient, context: Http1Context) {
    this.#accepted = accepted;
    this.#context = context;
    this.#guard = new FloodGuard(context.clock);
    const socket = accepted.wire.toDuplex();
    this.#socket = socket;
    if (accepted.early.length > 0) socket.unshift(accepted.early);
    this.#session = withRightEnds(performServerHandshake(socket, SESSION), () => this.#faultyStreams());
    this.#session
      .on('stream', (stream: ServerHttp2Stream, _headers, flags: number, raw?: readonly string[]) =>
        this.#add(stream, flags, raw ?? []),
      )
      .on('goaway', () => context.idle.rescheduleSooner(this))
      .on('ping', () => this.#count('PING frames'))
      .on('remoteSettings', () => this.#count('SETTINGS frames'))
      .on('error', (error) => this.#failed(error))
      .on('close', () => this.#closed());
    // A wire that has read nothing yet has left its socket at rest.
    socket.read(0);
    // Without its sending side a client can end no stream any more.
    socket.once('end', () => this.#end());
    context.idle.watch(this);
  }

  get active(): number {
    return this.#requests.size + this.#fresh.length;
  }

  close(): void {
    if (this.#state !== 'open' && this.#state !== 'pinged') return;
    this.#state = 'closing';
    // GOAWAY: streams that are open go on, and the client opens others elsewhere.
    this.#session.close();
    this.#context.idle.rescheduleSooner(this);
  }

  abort(why: ProxyError): void {
    this.#isAborted = true;
    for (const request of [...this.#requests]) request.stop(why);
    this.close();
    this.#context.idle.rescheduleSooner(this);
  }

  evict(why: ProxyError, id: string): EvictedClient {
    this.#session.destroy();
    this.#closed();
    const { sent } = rejectionOf(why, id, this.#context);
    return { wire: this.#accepted.wire, rejection: { bytes: NOTHING, sent } };
  }

  get limitMs(): number {
    if (this.#state === 'ending' || this.#isAborted) return LINGER_MS;
    const isLeaving = this.#session.closed && this.#state !== 'closing';
    if (this.#state === 'pinged') return isLeaving ? PING_LEAVING_MS : PONG_MS;
    if (this.active > 0) return isLeaving ? PING_LEAVING_MS : PING_INTERVAL_MS;
    if (this.#state === 'closing') return LINGER_MS;
    return this.#hasServed ? this.#context.keepAliveMs : this.#context.requestHeadMs;
  }

  wasTouched(): boolean {
    const bytesRead = this.#socket instanceof Socket ? this.#socket.bytesRead : 0;
    // Only while an answer is awaited: frames that ask for nothing keep no idle connection open.
    const isAlive = this.#state === 'pinged' && bytesRead > this.#bytesRead;
    const touched = this.#touched || isAlive;
    this.#bytesRead = bytesRead;
    this.#touched = false;
    return touched;
  }

  expired(): void {
    if (this.#state === 'ending') return void this.#accepted.wire.stream.destroy();
    if (this.#state === 'pinged' || this.#isAborted || (this.#state === 'closing' && this.active === 0))
      return this.#end();
    if (this.active === 0) this.close();
    else this.#ping();
    this.#context.idle.watch(this);
  }

  /** Ends all streams, and says why where that is the client's fault. */
  #end(why?: ProxyError): void {
    if (this.#state === 'gone' || this.#state === 'ending') return;
    this.#state = 'ending';
    if (why === undefined) this.#session.destroy();
    else this.#session.destroy(why, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.#context.idle.watch(this);
  }

  #ping(): void {
    const before = this.#state;
    this.#state = 'pinged';
    this.#session.ping((error) => {
      if (error !== null || this.#state !== 'pinged') return;
      this.#state = before;
      this.#touched = true;
    });
  }

  /**
   * Streams that come together are served together, in the next turn: of a flood that opens and resets them in the same
   * packets, none is dialled for.
   */
  #add(stream: ServerHttp2Stream, flags: number, head: readonly string[]): void {
    stream.on('error', () => undefined);
    const isComplete = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    if (this.#fresh.push({ stream, head, isComplete }) === 1) setImmediate(() => this.#serveFresh());
    if (this.#fresh.length > FRESH_MAX) this.#endForFlood('streams that are reset at once');
  }

  #serveFresh(): void {
    const fresh = this.#fresh;
    this.#fresh = [];
    for (const opened of fresh) {
      const { destroyed, closed, aborted } = opened.stream;
      if (destroyed || closed || aborted) this.#endedAtOnce(opened.stream);
      else if (!this.#session.destroyed) this.#serve(opened);
    }
    this.#tellPlace();
  }

  /** Before it was served: nothing is done for it. */
  #endedAtOnce({ rstCode }: ServerHttp2Stream): void {
    if (rstCode === constants.NGHTTP2_PROTOCOL_ERROR) this.#faultyBefore += 1;
    this.#count('streams that are reset at once');
  }

  #faultyStreams(): number {
    let faulty = this.#faultyBefore;
    for (const { isFaulty } of this.#requests) if (isFaulty) faulty += 1;
    return faulty;
  }

  #serve(opened: OpenedStream): void {
    const { bodies } = this.#context;
    const services = this.#context.services();
    const terms = { id: this.#context.nextId(), services, bodies, connectionAuth: this.#connectionAuth };
    const responder = new Http2Responder(opened.stream, terms);
    this.#hasServed = true;
    this.#requests.add(responder);
    this.#tellPlace();
    responder.wire.stream.once('close', () => this.#ended(responder));
    serveStream(opened, responder, this.#accepted.client, this.#context);
  }

  #ended(responder: Http2Responder): void {
    if (!this.#requests.delete(responder)) return;
    if (responder.isFaulty) this.#faultyBefore += 1;
    if (!responder.headersSent && !this.#session.destroyed) this.#count('streams that are reset before their response');
    this.#tellPlace();
  }

  #tellPlace(): void {
    this.#touched = true;
    if (this.#state === 'gone') return;
    if (this.active > 0) this.#accepted.place.markBusy();
    else this.#accepted.place.markIdle();
    this.#context.idle.rescheduleSooner(this);
  }

  #count(what: string): void {
    if (!this.#guard.allows()) this.#endForFlood(what);
  }

  #endForFlood(what: string): void {
    if (!this.#session.destroyed) this.#end(new ProxyError('excessive_load', `too many ${what}`));
  }

  /** The session has ended itself, or was ended for a reason. */
  #failed(error: Error): void {
    const code = 'code' in error ? String(error.code) : '';
    // Of a client that has left; its requests say so themselves.
    if (code !== 'ECONNRESET' && code !== 'EPIPE') this.#record(sessionFailure(error));
    if (this.#state === 'gone' || this.#state === 'ending') return;
    this.#state = 'ending';
    this.#context.idle.watch(this);
  }

  #record(why: ProxyError): void {
    const { client } = this.#accepted;
    const refused = { id: this.#context.nextId(), protocol: 'h2', client, sent: undefined };
    recordRefused(why, refused, this.#context.services(), this.#context.sessions);
  }

  #closed(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    this.#context.idle.unwatch(this);
    this.#accepted.wire.stream.destroy();
    this.#accepted.host.closed(this.#accepted.place);
  }
}
