import type { Clock } from '../core/clock.ts';
import type { AnswerTerms, BodyMover, ForwardSide, Reply, ReplyHead, TunnelSide } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Body, Headers } from '../core/request.ts';
import type { Wire } from '../core/source.ts';
import type { Connection } from '../core/stages.ts';
import type { Stop } from '../core/stop.ts';
import { printFields } from '../protocol/header-list.ts';
import { reasonOf } from '../protocol/reasons.ts';
import { replyBytes } from './reply-bytes.ts';

/** What an answer needs of the connection that it goes out on. */
export interface AnswerHost {
  readonly wire: Wire;
  readonly bodies: BodyMover;
  readonly clock: Clock;
  /** Whether the connection could serve another request after this answer. */
  mayGoOn(): boolean;
  /** Gives the socket away, with what the client has sent ahead; `abort` still ends it. */
  leave(abort: Stop): Connection;
  /** The answer is out, and either another request may follow or nothing more will. */
  answered(then: 'next' | 'close'): void;
}

/** What an answer needs to know of the request. */
export interface Asked {
  readonly method: string;
  readonly version: '1.0' | '1.1';
  readonly kind: 'tunnel' | 'forward' | 'own';
  /** Whether the client leaves the connection open. */
  readonly persistent: boolean;
}

/** The answer to one request, in HTTP/1: framing is ours, and made for what this client can read. */
export class Answer implements ForwardSide, TunnelSide {
  readonly #host: AnswerHost;
  readonly #asked: Asked;
  readonly #abort: Stop;
  /** Shows a head to whoever reads along. */
  readonly #tap: ((head: string) => void) | undefined;
  #begun = false;
  /** An answer was to be sent on, and its body broke before its first byte. */
  #hasTried = false;

  constructor(host: AnswerHost, asked: Asked, abort: Stop, tap: ((head: string) => void) | undefined) {
    this.#host = host;
    this.#asked = asked;
    this.#abort = abort;
    this.#tap = tap;
  }

  get begun(): boolean {
    return this.#begun;
  }

  inform(head: ReplyHead): void {
    // A 1.0 client would take a 1xx for the answer (RFC 9110 §15.2).
    if (this.#asked.version === '1.1') this.#writeHead(head, head.headers);
  }

  async respond(head: ReplyHead, body: Body | undefined, terms: AnswerTerms): Promise<number> {
    this.#checkClient();
    this.#hasTried = true;
    const { wire, bodies } = this.#host;
    const isSized = body === undefined || body.framing.kind === 'length';
    const coding = isSized || this.#asked.version === '1.0' ? 'raw' : 'chunked';
    const isDelimited = isSized || coding === 'chunked';
    const then = isDelimited ? this.#then() : 'close';
    const text = this.#headText(head, [...head.headers, ...framing(body, coding), ...closing(then)]);
    if (body === undefined) {
      this.#begin();
      wire.stream.write(text, 'latin1');
      await settled(terms.upload);
      this.#host.answered(then);
      return 0;
    }
    const bytes = await bodies.move(body, wire.stream, {
      ...terms,
      // Head and first bytes of the body leave together: one packet for a small answer, not two.
      head: { bytes: Buffer.from(text, 'latin1'), written: () => this.#begin() },
      coding,
      signal: this.#abort,
      silent: 'origin_silent',
      stuck: 'client_too_slow',
      broken: 'client_gone',
    });
    // Who reads until the end of the connection waits for that end, whatever it still sends.
    if (isDelimited) await settled(terms.upload);
    this.#host.answered(then);
    return bytes;
  }

  async upgrade(head: ReplyHead): Promise<Connection> {
    this.#checkClient();
    this.#begin();
    this.#writeHead(head, head.headers);
    return this.#host.leave(this.#abort);
  }

  /** A bare 200: a client must ignore framing here, and some trip over `Connection` (RFC 9110 §9.3.6). */
  async established(): Promise<Connection> {
    this.#checkClient();
    const head = `HTTP/${this.#asked.version} 200 Connection established`;
    this.#begin();
    this.#tap?.(head);
    this.#host.wire.stream.write(`${head}\r\n\r\n`, 'latin1');
    return this.#host.leave(this.#abort);
  }

  async refuse(reply: Reply): Promise<void> {
    const { stream } = this.#host.wire;
    if (stream.destroyed) return;
    const then = this.#hasTried ? 'close' : this.#then();
    const bytes = replyBytes(reply, { method: this.#asked.method, after: then, wallMs: this.#host.clock.wallMs() });
    this.#tap?.(bytes.toString('latin1', 0, bytes.indexOf('\r\n\r\n') + 2));
    stream.write(bytes);
    this.#host.answered(then);
  }

  abort(): void {
    // A client that was told a length, or chunks, sees a plain end as what it is. One that reads until the end of the
    // connection would take it for success, so it gets a reset.
    if (this.#asked.version === '1.0') this.#host.wire.reset();
    else this.#host.wire.stream.destroy();
  }

  #begin(): void {
    this.#begun = true;
  }

  #writeHead(head: ReplyHead, headers: Headers): void {
    this.#host.wire.stream.write(this.#headText(head, headers), 'latin1');
  }

  #headText({ status, reason }: ReplyHead, headers: Headers): string {
    const head = `HTTP/1.1 ${status} ${reason || reasonOf(status)}\r\n${printFields(headers)}`;
    this.#tap?.(head);
    return `${head}\r\n`;
  }

  /**
   * A refused CONNECT ends the connection: its client may have sent bytes for the tunnel that are no request
   * (RFC 9931). An open tunnel never asks.
   */
  #then(): 'next' | 'close' {
    const { persistent, kind } = this.#asked;
    return persistent && kind !== 'tunnel' && this.#host.mayGoOn() ? 'next' : 'close';
  }

  #checkClient(): void {
    const signal = this.#abort;
    if (signal.aborted) throw signal.reason;
    if (this.#host.wire.stream.destroyed) throw new ProxyError('client_gone', 'the client closed the connection');
  }
}

/** How an upload ends behind a complete answer changes nothing for anybody. */
const settled = (upload: Promise<unknown> | undefined): Promise<unknown> | undefined => upload?.catch(() => undefined);

const NO_FIELDS: Headers = [];
const CHUNKED: Headers = [['Transfer-Encoding', 'chunked']];
const CLOSE: Headers = [['Connection', 'close']];

function framing(body: Body | undefined, coding: 'raw' | 'chunked'): Headers {
  if (coding === 'chunked') return CHUNKED;
  return body?.framing.kind === 'length' ? [['Content-Length', String(body.framing.bytes)]] : NO_FIELDS;
}

const closing = (then: 'next' | 'close'): Headers => (then === 'close' ? CLOSE : NO_FIELDS);
