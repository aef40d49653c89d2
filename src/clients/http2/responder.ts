import { createHash } from 'node:crypto';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { BodyMover } from '../../contracts/body-mover.ts';
import type {
  ConnectionAuth,
  ForwardResponder,
  ResponseTerms,
  SentHead,
  TunnelResponder,
} from '../../contracts/client.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { LocalResponse, ResponseHead } from '../../contracts/message.ts';
import type { Authority, Body, Framing, Headers } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import { Http2Wire } from '../../net/http2-wire.ts';
import type { Services } from '../../pipeline/services.ts';
import { firstOf, printFields } from '../../protocol/http1/header-list.ts';
import { httpDate } from '../../protocol/http1/http-date.ts';
import { Stop } from '../../util/stop.ts';
import { refusalResponse } from '../http/refusal.ts';
import { lengthMismatch } from './request-body.ts';
import { sendFields, sendHead } from './response-fields.ts';

/** What a response needs to know of the request. */
export interface Http2RequestInfo {
  readonly method: string;
  /** `malformed`: it was refused for its head. */
  readonly kind: 'tunnel' | 'forward' | 'local' | 'malformed';
  /** Target of a CONNECT. */
  readonly authority?: Authority | undefined;
  /** Of an extended CONNECT. */
  readonly webSocketKey?: string | undefined;
  /** Of its body. */
  readonly framing?: Framing | undefined;
}

export interface Http2ResponderTerms {
  readonly id: string;
  readonly services: Services;
  readonly bodies: BodyMover;
  readonly connectionAuth: ConnectionAuth;
}

const NOTHING = Buffer.alloc(0);
const RESET_CONTENT = 205;
/** RFC 6455 §4.2.2. */
const WEB_SOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** One request and its response, on a stream of HTTP/2. What becomes of it costs its stream, and never the connection. */
export class Http2Responder implements ForwardResponder, TunnelResponder {
  readonly wire: Http2Wire;
  readonly signal: Stop = new Stop();
  request: Http2RequestInfo = { method: 'GET', kind: 'malformed' };
  readonly #stream: ServerHttp2Stream;
  readonly #terms: Http2ResponderTerms;
  #headersSent = false;
  /** The stream is a tunnel's: what happens on it is the relay's matter. */
  #isHandedOff = false;

  constructor(stream: ServerHttp2Stream, terms: Http2ResponderTerms) {
    this.#stream = stream;
    this.#terms = terms;
    this.wire = new Http2Wire(stream);
    const onEnd = () => {
      if (!this.#isHandedOff) this.stop(this.#resetFailure());
    };
    this.wire.stream.once('close', onEnd);
    stream.on('aborted', onEnd);
  }

  get id(): string {
    return this.#terms.id;
  }

  get services(): Services {
    return this.#terms.services;
  }

  get connectionAuth(): ConnectionAuth {
    return this.#terms.connectionAuth;
  }

  /** Whether its stream was reset for an error of the client's in it. */
  get isFaulty(): boolean {
    return this.#stream.rstCode === constants.NGHTTP2_PROTOCOL_ERROR;
  }

  get headersSent(): boolean {
    return this.#headersSent;
  }

  stop(why: ProxyError): void {
    this.signal.abort(why);
  }

  sendInterim({ status, headers }: ResponseHead): undefined {
    if (this.#isGone) return;
    sendFields(headers, (fields) => this.#stream.additionalHeaders({ ...fields, ':status': status }));
  }

  async respond(head: ResponseHead, body: Body | undefined, terms: ResponseTerms): Promise<number> {
    this.#checkClient();
    // HTTP/1.1 passes such a code on (RFC 9110 §15); node:http2 sends none.
    if (head.status > 599) throw new ProxyError('origin_protocol', `the status code ${head.status} in HTTP/2`);
    // To a client that has asked for a WebSocket it would open one (RFC 8441 §4).
    if (this.request.webSocketKey !== undefined && head.status < 300)
      throw new ProxyError('origin_upgrade', `the origin has answered ${head.status} to a WebSocket handshake`);
    // A 205 has no content (RFC 9110 §15.3.6), and node:http2 ends its stream with its head. What an origin sends all the same is
    // not read, and its connection is closed.
    if (body === undefined || head.status === RESET_CONTENT) {
      this.#sendHead(head, { endStream: true });
      terms.onHeadWritten();
      await settled(terms.upload);
      this.#finish(terms.stuckMs);
      return 0;
    }
    const { framing } = body;
    const length: Headers = framing.kind === 'length' ? [['content-length', String(framing.bytes)]] : [];
    const hasTrailers = framing.kind === 'chunked';
    if (hasTrailers) this.#stream.once('wantTrailers', () => this.#sendTrailers(terms.trailers(body.trailers)));
    const bytes = await this.#terms.bodies.move(body, this.wire.stream, {
      ...terms,
      // A body that fails before its first byte takes no head with it.
      head: {
        text: '',
        onWritten: () => {
          this.#sendHead({ ...head, headers: [...head.headers, ...length] }, { waitForTrailers: hasTrailers });
          terms.onHeadWritten();
        },
      },
      coding: 'raw',
      signal: this.signal,
      silent: 'origin_timeout',
      stuck: 'client_too_slow',
      broken: 'client_gone',
    });
    this.wire.stream.end();
    await settled(terms.upload);
    this.#finish(terms.stuckMs);
    return bytes;
  }

  /** 101 in HTTP/1.1 is 200 here (RFC 8441 §5). */
  async upgrade(head: ResponseHead): Promise<Connection> {
    this.#checkClient();
    const { webSocketKey } = this.request;
    const proof = createHash('sha1').update(`${webSocketKey}${WEB_SOCKET_GUID}`).digest('base64');
    if (webSocketKey === undefined || firstOf(head.headers, 'sec-websocket-accept') !== proof)
      throw new ProxyError('origin_upgrade', 'the origin has not proved that it speaks WebSocket');
    const headers = head.headers.filter(([name]) => name.toLowerCase() !== 'sec-websocket-accept');
    this.#sendHead({ ...head, status: 200, headers }, {});
    return this.#handOff();
  }

  async established(): Promise<Connection> {
    this.#checkClient();
    this.#sendHead({ status: 200, reason: '', headers: [] }, {});
    // Behind the 200 only DATA may follow (RFC 9113 §8.5).
    this.#stream.on('trailers', () => this.wire.reset());
    return this.#handOff();
  }

  refuse(error: ProxyError): SentHead | undefined {
    const { kind, authority } = this.request;
    const refused = {
      id: this.id,
      protocol: 'h2',
      tunnel: kind === 'tunnel' ? authority : undefined,
      of: kind === 'local' ? 'page' : undefined,
    } as const;
    return this.sendLocal(refusalResponse(error, refused, this.services.identity));
  }

  sendLocal(response: LocalResponse): SentHead | undefined {
    if (this.#isGone) return undefined;
    const body = Buffer.from(response.body);
    const date = httpDate(this.services.clock.wallMs());
    const own: Headers = [...response.headers, ['date', date], ['content-length', String(body.length)]];
    const hasBody = this.request.method !== 'HEAD' && body.length > 0;
    this.#sendHead({ ...response, headers: own }, { endStream: !hasBody });
    if (hasBody) this.wire.stream.write(body);
    this.#finish(this.services.timeouts.requestBodyMs);
    return response;
  }

  abortResponse(): void {
    this.wire.resetWith(constants.NGHTTP2_INTERNAL_ERROR);
  }

  #resetFailure(): ProxyError {
    const isMismatch = this.isFaulty && this.request.framing?.kind === 'length';
    return isMismatch ? lengthMismatch() : new ProxyError('client_gone', 'the client has reset the stream');
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed || this.#stream.aborted;
  }

  #checkClient(): void {
    if (this.signal.aborted) throw this.signal.reason;
    if (this.#isGone) throw this.#resetFailure();
  }

  #handOff(): Connection {
    this.#isHandedOff = true;
    return { wire: this.wire, early: NOTHING, address: undefined, [Symbol.dispose]: () => this.wire.stream.destroy() };
  }

  /**
   * Ends the stream behind what was written; of a request that is still coming in, nothing more is wanted (RFC 9113 §8.1).
   * A client that opens no window for the rest would keep its place for ever, also one that has not logged in.
   */
  #finish(untakenMs: number): void {
    this.wire.deliverTo(undefined);
    this.wire.stream.destroy();
    if (this.wire.stream.destroyed || untakenMs === 0) return;
    const bound = this.services.clock.after(untakenMs, () => this.wire.resetWith(constants.NGHTTP2_CANCEL));
    this.wire.stream.once('close', () => bound[Symbol.dispose]());
  }

  #sendHead(head: ResponseHead, options: { readonly endStream?: boolean; readonly waitForTrailers?: boolean }): void {
    this.#headersSent = true;
    const text = `HTTP/2 ${head.status}\r\n${printFields(head.headers)}`;
    this.services.tap?.({ type: 'head', id: this.id, hop: 'client', sent: 'by-us', head: text });
    sendHead(this.#stream, head.status, head.headers, options);
  }

  #sendTrailers(trailers: Headers): void {
    if (!this.#stream.destroyed) sendFields(trailers, (fields) => this.#stream.sendTrailers(fields));
  }
}

/** How an upload ends behind a complete response changes nothing. */
const settled = (upload: Promise<unknown> | undefined): Promise<unknown> | undefined => upload?.catch(() => undefined);
