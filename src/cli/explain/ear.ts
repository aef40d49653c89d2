import type { Duplex } from 'node:stream';
import { ProxyError } from '../../core/failure.ts';
import type { Framing } from '../../core/request.ts';
import { ChunkedDecoder } from '../../protocol/chunked.ts';
import { HEAD_LIMITS, HeadBuffer } from '../../protocol/head-buffer.ts';

/** What a body is read for: to see how it ends. More than this is not worth a person's time. */
const BODY_BYTES_MAX = 1024 * 1024;

/** The words of a refusal fit. */
const START_BYTES_MAX = 1024;

export interface Heard {
  readonly bytes: number;
  readonly ended: 'complete' | 'cut' | 'enough';
  readonly start: string;
}

/** Listens to one side of a conversation: a head, then what follows it. */
export class Ear {
  readonly #stream: Duplex;
  readonly #chunks: AsyncIterator<Buffer>;
  #early: Buffer = Buffer.alloc(0);

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#chunks = stream.iterator({ destroyOnReturn: false });
  }

  /** One head without its empty line. Throws ProxyError when the peer ends first or sends something else. */
  async head(): Promise<string> {
    const buffer = new HeadBuffer(HEAD_LIMITS);
    for (;;) {
      const chunk = await this.#next();
      if (chunk === undefined) {
        const what = buffer.length === 0 ? 'without an answer' : 'in the middle of its answer';
        throw new ProxyError('reset_before_head', `the connection ended ${what}`);
      }
      const progress = buffer.add(chunk);
      if (progress.at === 'refused')
        throw new ProxyError('origin_protocol', `the answer is not HTTP/1.1: ${progress.why}`);
      if (progress.at === 'more') continue;
      this.#early = progress.rest;
      return progress.head;
    }
  }

  /** Counts the payload of a body, and keeps how it begins. */
  async body(framing: Framing): Promise<Heard> {
    const start: Buffer[] = [];
    let bytes = 0;
    const heard = (ended: Heard['ended']): Heard => ({ bytes, ended, start: Buffer.concat(start).toString('latin1') });
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)) return heard('complete');
    const decoder = framing.kind === 'chunked' ? new ChunkedDecoder('origin_protocol') : undefined;
    for (;;) {
      const chunk = await this.#next();
      if (chunk === undefined) return heard(framing.kind === 'until-close' ? 'complete' : 'cut');
      const payload = decoder ? decoder.decode(chunk).payload : chunk;
      if (bytes < START_BYTES_MAX) start.push(payload.subarray(0, START_BYTES_MAX - bytes));
      bytes += payload.length;
      if (decoder?.done || (framing.kind === 'length' && bytes >= framing.bytes)) return heard('complete');
      if (bytes >= BODY_BYTES_MAX) return heard('enough');
    }
  }

  /** Gives the stream to somebody else; what came behind the head is given back to it. */
  async leave(): Promise<void> {
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
