import type { AnswerTerms, BodyMover, ForwardSide, Reply, ReplyHead, TunnelSide } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Body, Headers } from '../core/request.ts';
import type { Wire } from '../core/source.ts';
import type { Connection } from '../core/stages.ts';
import { printFields } from '../protocol/header-list.ts';
import { reasonOf } from '../protocol/reasons.ts';

/** What an answer needs of the connection that it goes out on. */
export interface AnswerHost {
  readonly wire: Wire;
  readonly bodies: BodyMover;
  readonly signal: AbortSignal;
  readonly method: string;
  readonly version: '1.0' | '1.1';
  /** Whether the connection may serve another request once this answer is out. */
  staysOpen(): boolean;
  /** Gives the socket away, with what the client has sent ahead. */
  leave(): Connection;
  /** The answer is out, and either another request may follow or nothing more will. */
  answered(then: 'next' | 'close'): void;
  /** Shows a head to whoever reads along. */
  tap(head: string): void;
  /** HTTP date of now. */
  date(): string;
}

/** The answer to one request, in HTTP/1: framing is ours, and made for what this client can read. */
export class Answer implements ForwardSide, TunnelSide {
  readonly #host: AnswerHost;

  constructor(host: AnswerHost) {
    this.#host = host;
  }

  inform(head: ReplyHead): void {
    // A 1.0 client would take a 1xx for the answer (RFC 9110 §15.2).
    if (this.#host.version === '1.1') this.#writeHead(head.status, head.reason, head.headers);
  }

  async respond(head: ReplyHead, body: Body | undefined, terms: AnswerTerms): Promise<number> {
    this.#checkClient();
    const { wire, version } = this.#host;
    const coding = body === undefined || body.framing.kind === 'length' || version === '1.0' ? 'raw' : 'chunked';
    const delimited = body === undefined || body.framing.kind === 'length' || coding === 'chunked';
    const then = delimited && this.#host.staysOpen() ? 'next' : 'close';
    // Head and first bytes of the body leave together: one packet for a small answer, not two.
    wire.stream.cork();
    this.#writeHead(head.status, head.reason, [...head.headers, ...framing(body, coding), ...closing(then)]);
    if (body === undefined) {
      wire.stream.uncork();
      this.#host.answered(then);
      return 0;
    }
    const moved = this.#host.bodies.move(body, wire.stream, {
      ...terms,
      coding,
      signal: this.#host.signal,
      silent: 'origin_silent',
      stuck: 'client_too_slow',
      broken: 'client_gone',
    });
    wire.stream.uncork();
    const bytes = await moved;
    this.#host.answered(then);
    return bytes;
  }

  async upgrade(head: ReplyHead): Promise<Connection> {
    this.#checkClient();
    this.#writeHead(head.status, head.reason, head.headers);
    return this.#host.leave();
  }

  /** A bare 200: a client must ignore framing here, and some trip over `Connection` (RFC 9110 §9.3.6). */
  async established(): Promise<Connection> {
    this.#checkClient();
    const head = `HTTP/${this.#host.version} 200 Connection established`;
    this.#host.tap(head);
    this.#host.wire.stream.write(`${head}\r\n\r\n`, 'latin1');
    return this.#host.leave();
  }

  async refuse(reply: Reply): Promise<void> {
    const then = this.#host.staysOpen() ? 'next' : 'close';
    const body = Buffer.from(reply.body);
    const headers: Headers = [
      ...reply.headers,
      ['Date', this.#host.date()],
      ['Content-Length', String(body.length)],
      ...closing(then),
    ];
    const { stream } = this.#host.wire;
    if (stream.destroyed) return;
    stream.cork();
    this.#writeHead(reply.status, reply.reason, headers);
    if (this.#host.method !== 'HEAD' && body.length > 0) stream.write(body);
    stream.uncork();
    this.#host.answered(then);
  }

  abort(): void {
    // A client that was told a length, or chunks, sees a plain end as what it is. One that reads until the end of the
    // connection would take it for success, so it gets a reset.
    if (this.#host.version === '1.0') this.#host.wire.reset();
    else this.#host.wire.stream.destroy();
  }

  #writeHead(status: number, reason: string, headers: Headers): void {
    const head = `HTTP/1.1 ${status} ${reason || reasonOf(status)}\r\n${printFields(headers)}`;
    this.#host.tap(head);
    this.#host.wire.stream.write(`${head}\r\n`, 'latin1');
  }

  #checkClient(): void {
    if (this.#host.signal.aborted) throw this.#host.signal.reason;
    if (this.#host.wire.stream.destroyed) throw new ProxyError('client_gone', 'the client closed the connection');
  }
}

const NO_FIELDS: Headers = [];
const CHUNKED: Headers = [['Transfer-Encoding', 'chunked']];
const CLOSE: Headers = [['Connection', 'close']];

function framing(body: Body | undefined, coding: 'raw' | 'chunked'): Headers {
  if (coding === 'chunked') return CHUNKED;
  return body?.framing.kind === 'length' ? [['Content-Length', String(body.framing.bytes)]] : NO_FIELDS;
}

const closing = (then: 'next' | 'close'): Headers => (then === 'close' ? CLOSE : NO_FIELDS);
