import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Sink, WriteCallback } from '../../contracts/wire.ts';
import { BaseWire } from '../../net/base-wire.ts';
import { Http2Wire } from '../../net/http2-wire.ts';
import { reasonOf } from '../../protocol/http1/reasons.ts';

const HEAD_END = '\r\n\r\n';

/**
 * One stream to a proxy, for code that writes and reads a head of HTTP/1.1: the head that is written opens the stream, and
 * that of the response is read as text. Behind a 2xx to CONNECT both are the tunnel. Every other response ends the wire: a
 * further request goes on a stream of its own.
 */
export class RequestWire extends BaseWire {
  readonly stream: RequestSink;
  readonly isQuiet = undefined;
  #inner: Http2Wire | undefined;
  /** The head of the response, until it can be delivered. */
  #head: Buffer | undefined;
  #isHeadRead = false;

  constructor(session: ClientHttp2Session, done: () => void) {
    super();
    this.stream = new RequestSink((head) => this.#request(session, head), done);
  }

  reset(): void {
    this.#inner?.reset();
    if (this.#inner === undefined) this.stream.destroy();
  }

  lend(): void {}

  toDuplex(): Duplex {
    throw new Error('a stream of HTTP/2 to a proxy carries no other protocol');
  }

  protected stopReading(): void {
    this.#inner?.pause();
  }

  protected startReading(): void {
    this.#deliverHead();
    this.#inner?.resume();
  }

  /** `undefined`: the session takes no more streams, which the reader of the wire learns. */
  #request(session: ClientHttp2Session, head: string): Http2Wire['stream'] | undefined {
    const { method, fields } = requestOf(head);
    let http2: ClientHttp2Stream;
    try {
      http2 = session.request(fields, { endStream: method !== 'CONNECT' });
    } catch (error) {
      queueMicrotask(() => this.#failedBeforeHead(error instanceof Error ? error : undefined));
      return undefined;
    }
    const inner = new Http2Wire(http2);
    this.#inner = inner;
    http2.once('response', (headers: IncomingHttpHeaders & { ':status'?: number }) => {
      this.#head = Buffer.from(headText(headers, method), 'latin1');
      this.#deliverHead();
    });
    http2.once('close', () => this.#failedBeforeHead(undefined));
    return inner.stream;
  }

  #failedBeforeHead(error: Error | undefined): void {
    if (this.#head === undefined && this.readState === 'open') this.finishReading({ at: 'failed', error });
  }

  #deliverHead(): void {
    const head = this.#head;
    if (head === undefined || this.paused || this.#isHeadRead) return;
    this.#isHeadRead = true;
    this.received(head, 'fresh');
    this.#inner?.deliverTo({
      bytes: (chunk, ownership) => this.received(chunk, ownership),
      end: () => this.finishReading({ at: 'ended' }),
      failed: (error) => this.finishReading({ at: 'failed', error }),
    });
    // The reader of the head may want no more for now.
    if (this.paused) this.#inner?.pause();
  }
}

/** A request line and fields, as they are written for HTTP/1.1 here. */
function requestOf(head: string): { readonly method: string; readonly fields: OutgoingHttpHeaders } {
  const [line = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = line.split(' ');
  const fields: Record<string, string> = Object.create(null);
  for (const one of lines) {
    const colon = one.indexOf(':');
    const name = one.slice(0, colon).toLowerCase();
    if (colon > 0 && name !== 'host' && name !== 'connection' && name !== 'proxy-connection')
      fields[name] = one.slice(colon + 1).trim();
  }
  if (method === 'CONNECT') return { method, fields: { ...fields, ':method': method, ':authority': target } };
  const url = /^http:\/\/([^/]+)(\/.*)$/.exec(target);
  const [, authority = '', path = '/'] = url ?? [];
  return {
    method,
    fields: { ...fields, ':method': method, ':scheme': 'http', ':authority': authority, ':path': path },
  };
}

function headText(headers: IncomingHttpHeaders & { ':status'?: number }, method: string): string {
  const status = headers[':status'] ?? 0;
  let text = `HTTP/1.1 ${status} ${reasonOf(status)}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || value === undefined) continue;
    for (const one of typeof value === 'string' ? [value] : value) text += `${name}: ${one}\r\n`;
  }
  const isTunnel = method === 'CONNECT' && status >= 200 && status < 300;
  return `${text}${isTunnel ? '' : 'connection: close\r\n'}\r\n`;
}

/** What is written to such a wire: first a head, then the tunnel. */
export class RequestSink implements Sink {
  readonly #request: (head: string) => Http2Wire['stream'] | undefined;
  readonly #done: () => void;
  #inner: Http2Wire['stream'] | undefined;
  #isDestroyed = false;
  #listeners: (() => void)[] = [];

  constructor(request: (head: string) => Http2Wire['stream'] | undefined, done: () => void) {
    this.#request = request;
    this.#done = done;
  }

  get destroyed(): boolean {
    return this.#isDestroyed;
  }

  get writableEnded(): boolean {
    return this.#inner?.writableEnded ?? this.#isDestroyed;
  }

  get writableLength(): number {
    return this.#inner?.writableLength ?? 0;
  }

  write(bytes: Uint8Array | string, how?: 'latin1' | WriteCallback): void {
    if (this.#inner !== undefined) return this.#inner.write(bytes, how);
    const text = typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('latin1');
    if (this.#isDestroyed) return;
    if (!text.endsWith(HEAD_END)) throw new Error('the first write to a stream is a whole head');
    this.#inner = this.#request(text.slice(0, -HEAD_END.length));
    this.#inner?.once('close', () => this.#closed());
    if (typeof how === 'function') queueMicrotask(() => how());
  }

  end(done?: () => void): void {
    if (this.#inner !== undefined) this.#inner.end(done);
    else if (done !== undefined) queueMicrotask(done);
  }

  destroy(): void {
    if (this.#inner !== undefined) this.#inner.destroy();
    else this.#closed();
  }

  once(_event: 'close', listener: () => void): void {
    this.#listeners.push(listener);
  }

  #closed(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#done();
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const one of listeners) one();
  }
}
