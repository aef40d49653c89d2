import type { Duplex } from 'node:stream';
import { ProxyError } from '../../contracts/failure.ts';
import type { Framing } from '../../contracts/request.ts';
import { ChunkedDecoder } from '../../protocol/http1/chunked.ts';
import { HeadBuffer, RESPONSE_HEAD_LIMITS } from '../../protocol/http1/head-buffer.ts';
import { Repairs } from '../../protocol/http1/response-fields.ts';
import { parseStatusLine } from '../../protocol/http1/response-head.ts';

/** A body is read to see how it ends. More than this would take longer than it explains. */
const BODY_BYTES_MAX = 1024 * 1024;

/** Enough for the text of a refusal. */
const START_BYTES_MAX = 1024;

export interface ResponseBody {
  readonly bytes: number;
  readonly ended: 'complete' | 'cut' | 'enough';
  readonly start: string;
}

/** Reads the responses of one connection: a head, then its body. */
export class ResponseReader {
  readonly #stream: Duplex;
  readonly #chunks: AsyncIterator<Buffer>;
  #early: Buffer = Buffer.alloc(0);

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#chunks = stream.iterator({ destroyOnReturn: false });
  }

  /** One head without its empty line. Throws ProxyError when the peer ends first or sends something else. */
  async readHead(): Promise<string> {
    const buffer = new HeadBuffer(RESPONSE_HEAD_LIMITS, 'lf-too');
    for (;;) {
      const chunk = await this.#next();
      if (chunk === undefined) {
        const what = buffer.length === 0 ? 'without a response' : 'in the middle of its response';
        throw new ProxyError('reset_before_head', `the connection ended ${what}`);
      }
      const progress = buffer.add(chunk);
      if (progress.at === 'refused')
        throw new ProxyError('origin_protocol', `the response is not HTTP/1.1: ${progress.why}`);
      // A server of another protocol may wait for our next line behind its first one.
      if (progress.at === 'more') {
        if (progress.startLine !== undefined) parseStatusLine(progress.startLine, 'origin_protocol');
        continue;
      }
      this.#early = progress.rest;
      return progress.head;
    }
  }

  /** Counts the payload of a body, and keeps how it begins. */
  async readBody(framing: Framing): Promise<ResponseBody> {
    const start: Buffer[] = [];
    let bytes = 0;
    const result = (ended: ResponseBody['ended']): ResponseBody => ({
      bytes,
      ended,
      start: Buffer.concat(start).toString('latin1'),
    });
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)) return result('complete');
    const decoder = framing.kind === 'chunked' ? new ChunkedDecoder('origin_protocol', new Repairs()) : undefined;
    for (;;) {
      const chunk = await this.#next();
      if (chunk === undefined) return result(framing.kind === 'until-close' ? 'complete' : 'cut');
      const payload = decoder ? decoder.decode(chunk).payload : chunk;
      if (bytes < START_BYTES_MAX) start.push(payload.subarray(0, START_BYTES_MAX - bytes));
      bytes += payload.length;
      if (decoder?.done || (framing.kind === 'length' && bytes >= framing.bytes)) return result('complete');
      if (bytes >= BODY_BYTES_MAX) return result('enough');
    }
  }

  /** Stops reading, so that another reader can begin; bytes that came behind the head go back to the stream. */
  async detach(): Promise<void> {
    await this.#chunks.return?.();
    if (this.#early.length > 0) this.#stream.unshift(this.#early);
  }

  async #next(): Promise<Buffer | undefined> {
    const early = this.#early;
    if (early.length > 0) {
      this.#early = Buffer.alloc(0);
      return early;
    }
    const { value, done } = await this.#chunks.next();
    return done ? undefined : value;
  }
}
