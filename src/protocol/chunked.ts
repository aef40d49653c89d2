import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { Headers } from '../core/request.ts';
import { parseFields } from './fields.ts';

/** One size line with its extensions, which are read and dropped (RFC 9112 §7.1.1). Signed chunks need about 100. */
const SIZE_LINE_BYTES_MAX = 1024;
/** The whole trailer section; a trailer is a digest or a status, not a document. */
const TRAILER_BYTES_MAX = 8192;
const TRAILER_FIELDS_MAX = 50;

/** Leading zeros are legal; twelve digits behind them are 256 TiB, and exact. */
const SIZE_LINE = /^0*([0-9a-f]{1,12})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?\r\n$/i;

type State =
  | { readonly at: 'line' }
  | { readonly at: 'data'; readonly left: number }
  | { readonly at: 'data-end' }
  | { readonly at: 'trailer' }
  | { readonly at: 'done' };

const LINE: State = { at: 'line' };
const DATA_END: State = { at: 'data-end' };
const TRAILER: State = { at: 'trailer' };
const DONE: State = { at: 'done' };

/**
 * Takes the chunked coding off (RFC 9112 §7.1), strictly: a size that two recipients read differently is two bodies.
 * Payload is moved together inside the given buffer, so that one read stays one piece.
 */
export class ChunkedDecoder {
  readonly #blame: FailureCode;
  #state: State = LINE;
  /** Text of a line or trailer section that is not complete yet. */
  #text = '';
  #trailers: Headers = [];

  constructor(blame: FailureCode) {
    this.#blame = blame;
  }

  get done(): boolean {
    return this.#state.at === 'done';
  }

  get trailers(): Headers {
    return this.#trailers;
  }

  /** Payload of `bytes`, moved to its start, and how many bytes were used: fewer than given only when done. */
  decode(bytes: Buffer): { readonly payload: Buffer; readonly used: number } {
    let from = 0;
    let to = 0;
    while (from < bytes.length && this.#state.at !== 'done') {
      if (this.#state.at === 'data') {
        const left = this.#state.left;
        const length = Math.min(left, bytes.length - from);
        if (from !== to) bytes.copyWithin(to, from, from + length);
        from += length;
        to += length;
        this.#state = length === left ? DATA_END : { at: 'data', left: left - length };
      } else {
        from =
          this.#text === '' && this.#state.at === 'data-end' ? this.#dataEnd(bytes, from) : this.#line(bytes, from);
      }
    }
    return { payload: bytes.subarray(0, to), used: from };
  }

  #dataEnd(bytes: Buffer, from: number): number {
    if (bytes[from] === 13 && bytes[from + 1] === 10) {
      this.#state = LINE;
      return from + 2;
    }
    return this.#line(bytes, from);
  }

  /** Consumes up to one line end, and acts on the line when it is whole. */
  #line(bytes: Buffer, from: number): number {
    const lf = bytes.indexOf(10, from);
    const end = lf < 0 ? bytes.length : lf + 1;
    this.#text += bytes.toString('latin1', from, end);
    const bytesMax = this.#state.at === 'trailer' ? TRAILER_BYTES_MAX : SIZE_LINE_BYTES_MAX;
    // Said before a line end comes: chunk data that runs on may hold none.
    if (this.#state.at === 'data-end' && !'\r\n'.startsWith(this.#text))
      this.#refuse('chunk data is longer than its size');
    if (this.#text.length > bytesMax) this.#refuse('a chunk line or trailer is too long');
    if (lf >= 0) this.#lineIsWhole();
    return end;
  }

  #lineIsWhole(): void {
    const text = this.#text;
    if (this.#state.at === 'trailer') {
      if (!text.endsWith('\r\n')) this.#refuse('a trailer line ends in a bare LF');
      if (text !== '\r\n' && !text.endsWith('\r\n\r\n')) return;
      this.#trailers = this.#parseTrailers(text);
      this.#state = DONE;
    } else if (this.#state.at === 'data-end') {
      this.#state = LINE;
    } else {
      const size = SIZE_LINE.exec(text)?.[1];
      if (size === undefined) this.#refuse('a chunk size line is not valid');
      const left = Number.parseInt(size, 16);
      this.#state = left === 0 ? TRAILER : { at: 'data', left };
    }
    this.#text = '';
  }

  #parseTrailers(text: string): Headers {
    if (text === '\r\n') return [];
    return parseFields(text.slice(0, -4), 0, {
      fieldsMax: TRAILER_FIELDS_MAX,
      blame: this.#blame,
      tooMany: this.#blame,
      repair: 'refuse',
    });
  }

  #refuse(why: string): never {
    throw new ProxyError(this.#blame, why);
  }
}

/** Room that a chunk needs around its data: size line before, CRLF behind. */
export const CHUNK_HEAD_BYTES_MAX = 10;
export const CHUNK_TAIL_BYTES = 2;

/** The size line of a chunk of `bytes`, which is at most 2^32. */
export const chunkHead = (bytes: number): string => `${bytes.toString(16)}\r\n`;
