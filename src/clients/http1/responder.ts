import type { BodyMover } from '../../contracts/body-mover.ts';
import type {
  BytesOnWire,
  ConnectionAuth,
  ForwardResponder,
  ResponseTerms,
  SentHead,
  TunnelResponder,
} from '../../contracts/client.ts';
import type { DecidedTunnel } from '../../contracts/decided-tunnel.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { LocalResponse, ResponseHead } from '../../contracts/message.ts';
import type { Authority, Body } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { Wire } from '../../contracts/wire.ts';
import type { Services } from '../../pipeline/services.ts';
import { printFields } from '../../protocol/http1/header-list.ts';
import { reasonOf } from '../../protocol/http1/reasons.ts';
import { Stop } from '../../util/stop.ts';
import { refusalResponse } from '../http/refusal.ts';
import { responseBytes } from './response-bytes.ts';

/** What a response needs of the connection that it goes out on. */
export interface ResponderHost {
  readonly wire: Wire;
  readonly bodies: BodyMover;
  readonly connectionAuth: ConnectionAuth;
  /** Whether the connection could serve another request after this response. */
  canServeAnother(): boolean;
  /** `undefined`: the client takes what is written to it. Else resolves once it has taken all of it, or is gone. */
  whenDrained(): Promise<void> | undefined;
  /** Gives the socket away, with what the client has sent ahead; `stop` still ends it. */
  handOff(stop: Stop): Connection;
  /** As TunnelResponder; `response` is the head that opens the tunnel. */
  repeat(decided: DecidedTunnel, response: string, services: Services): void;
  /** The response is out, and either another request may follow or nothing more will. */
  responseSent(then: 'next' | 'close'): void;
}

/** Bytes of the connection. */
export interface CountedBytes {
  /** Before a request whose response begins now. `undefined`: they are not counted. */
  readonly beforeRequest: BytesOnWire | undefined;
  /** With the request in progress, and without what was sent ahead for the next one. */
  readonly soFar: BytesOnWire | undefined;
  requestIsOver(): void;
}

/** What a response needs to know of the request. */
export interface RequestInfo {
  readonly method: string;
  readonly version: '1.0' | '1.1';
  /** `malformed`: it was refused for its head. */
  readonly kind: 'tunnel' | 'forward' | 'local' | 'malformed';
  /** Target of a CONNECT. */
  readonly authority?: Authority | undefined;
  /** Whether the client leaves the connection open. */
  readonly persistent: boolean;
}

/** One request and its response, in HTTP/1: framing is ours, and made for what this client can read. */
export class Http1Responder implements ForwardResponder, TunnelResponder {
  /** The state of a connection with a request in progress. */
  readonly at = 'request';
  readonly id: string;
  readonly request: RequestInfo;
  readonly services: Services;
  readonly signal: Stop = new Stop();
  readonly #host: ResponderHost;
  readonly #bytes: CountedBytes;
  /** Set whenever something is written to the client, cleared by the connection when it looks for silence. */
  touched = false;
  #headersSent = false;
  /** A response was to be sent on, and its body broke before its first byte. */
  #hasTried = false;
  /** Whether the bytes of the connection are counted, and whether this request has all of its own: others may follow at once. */
  #counting: 'off' | 'on' | 'over';
  /** Before this request, for as long as it counts; then those of the request. Numbers: an open tunnel keeps them. */
  #read: number;
  #written: number;

  constructor(host: ResponderHost, id: string, request: RequestInfo, services: Services, bytes: CountedBytes) {
    this.#host = host;
    this.id = id;
    this.request = request;
    this.services = services;
    this.#bytes = bytes;
    const before = bytes.beforeRequest;
    this.#counting = before === undefined ? 'off' : 'on';
    this.#read = before?.read ?? 0;
    this.#written = before?.written ?? 0;
  }

  get headersSent(): boolean {
    return this.#headersSent;
  }

  get bytesOnWire(): BytesOnWire | undefined {
    if (this.#counting === 'over') return { read: this.#read, written: this.#written };
    const now = this.#counting === 'on' ? this.#bytes.soFar : undefined;
    return now && { read: now.read - this.#read, written: now.written - this.#written };
  }

  get connectionAuth(): ConnectionAuth {
    return this.#host.connectionAuth;
  }

  stop(why: ProxyError): void {
    this.signal.abort(why);
  }

  sendInterim(head: ResponseHead): Promise<void> | undefined {
    // A 1.0 client would take a 1xx for the response (RFC 9110 §15.2).
    if (this.request.version === '1.0') return undefined;
    this.#writeHead(head);
    return this.#host.whenDrained();
  }

  async respond(head: ResponseHead, body: Body | undefined, terms: ResponseTerms): Promise<number> {
    this.#checkClient();
    this.#hasTried = true;
    const { wire, bodies } = this.#host;
    const isSized = body === undefined || body.framing.kind === 'length';
    const coding = isSized || this.request.version === '1.0' ? 'raw' : 'chunked';
    const isDelimited = isSized || coding === 'chunked';
    const then = isDelimited ? this.#afterResponse() : 'close';
    const text = this.#headText(head, `${framing(body, coding)}${then === 'close' ? CLOSE : ''}`);
    if (body === undefined) {
      this.#markHeadersSent();
      wire.stream.write(text, 'latin1');
      terms.onHeadWritten();
      await settled(terms.upload);
      this.#end(then);
      return 0;
    }
    const bytes = await bodies.move(body, wire.stream, {
      ...terms,
      count: (bytes) => {
        this.touched = true;
        terms.count(bytes);
      },
      // Head and first bytes of the body leave together: one packet for a small response, not two.
      head: {
        text,
        onWritten: () => {
          this.#markHeadersSent();
          terms.onHeadWritten();
        },
      },
      coding,
      signal: this.signal,
      silent: 'origin_timeout',
      stuck: 'client_too_slow',
      broken: 'client_gone',
    });
    // A client that reads until the end of the connection waits for that end, and may still be sending.
    if (isDelimited) await settled(terms.upload);
    this.#end(then);
    return bytes;
  }

  async upgrade(head: ResponseHead): Promise<Connection> {
    this.#checkClient();
    this.#markHeadersSent();
    this.#writeHead(head);
    return this.#handOff();
  }

  /** A bare 200: a client must ignore framing here, and some trip over `Connection` (RFC 9110 §9.3.6). */
  async established(): Promise<Connection> {
    this.#checkClient();
    const head = establishedHead(this.request);
    this.#markHeadersSent();
    this.#showHead(head);
    this.#host.wire.stream.write(`${head}\r\n\r\n`, 'latin1');
    return this.#handOff();
  }

  repeat(decided: DecidedTunnel): void {
    this.#host.repeat(decided, `${establishedHead(this.request)}\r\n\r\n`, this.services);
  }

  refuse(error: ProxyError): SentHead | undefined {
    const { kind, version, authority } = this.request;
    const refused = {
      id: this.id,
      protocol: version === '1.0' ? 'http/1.0' : 'http/1.1',
      tunnel: kind === 'tunnel' || kind === 'malformed' ? authority : undefined,
      of: kind === 'local' ? 'page' : undefined,
    } as const;
    return this.sendLocal(refusalResponse(error, refused, this.services.identity));
  }

  sendLocal(response: LocalResponse): SentHead | undefined {
    const { stream } = this.#host.wire;
    if (stream.destroyed) return undefined;
    const then = this.#hasTried ? 'close' : this.#afterResponse();
    this.#markHeadersSent();
    const bytes = responseBytes(response, {
      method: this.request.method,
      after: then,
      wallMs: this.services.clock.wallMs(),
    });
    if (this.services.tap !== undefined) this.#showHead(bytes.toString('latin1', 0, bytes.indexOf('\r\n\r\n') + 2));
    stream.write(bytes);
    this.#end(then);
    return response;
  }

  abortResponse(): void {
    // With a length or chunks the client sees that the body is incomplete. A client that reads until the end of the
    // connection would take a FIN for success, so it gets a reset.
    if (this.request.version === '1.0') this.#host.wire.reset();
    else this.#host.wire.stream.destroy();
  }

  #end(then: 'next' | 'close'): void {
    this.#countNoMore();
    this.#bytes.requestIsOver();
    this.#host.responseSent(then);
  }

  #handOff(): Connection {
    this.#countNoMore();
    return this.#host.handOff(this.signal);
  }

  #countNoMore(): void {
    const own = this.bytesOnWire;
    if (own === undefined) return;
    this.#counting = 'over';
    this.#read = own.read;
    this.#written = own.written;
  }

  #markHeadersSent(): void {
    this.#headersSent = true;
    this.touched = true;
  }

  #writeHead(head: ResponseHead): void {
    this.touched = true;
    this.#host.wire.stream.write(this.#headText(head, ''), 'latin1');
  }

  /** `ours`: the field lines that this hop adds. */
  #headText({ status, reason, headers }: ResponseHead, ours: string): string {
    const head = `HTTP/1.1 ${status} ${reason || reasonOf(status)}\r\n${printFields(headers)}${ours}`;
    this.#showHead(head);
    return `${head}\r\n`;
  }

  #showHead(head: string): void {
    this.services.tap?.({ type: 'head', id: this.id, hop: 'client', sent: 'by-us', head });
  }

  /**
   * A refused CONNECT ends the connection: its client may have sent bytes for the tunnel that are no request
   * (RFC 9931). A tunnel that was opened does not come here.
   */
  #afterResponse(): 'next' | 'close' {
    const { persistent, kind } = this.request;
    return persistent && kind !== 'tunnel' && this.#host.canServeAnother() ? 'next' : 'close';
  }

  #checkClient(): void {
    const signal = this.signal;
    if (signal.aborted) throw signal.reason;
    if (this.#host.wire.stream.destroyed) throw new ProxyError('client_gone', 'the client closed the connection');
  }
}

const establishedHead = ({ version }: RequestInfo): string => `HTTP/${version} 200 Connection established`;

/** How an upload ends behind a complete response changes nothing. */
const settled = (upload: Promise<unknown> | undefined): Promise<unknown> | undefined => upload?.catch(() => undefined);

const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const CLOSE = 'Connection: close\r\n';

function framing(body: Body | undefined, coding: 'raw' | 'chunked'): string {
  if (coding === 'chunked') return CHUNKED;
  return body?.framing.kind === 'length' ? `Content-Length: ${body.framing.bytes}\r\n` : '';
}
