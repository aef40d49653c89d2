import type { FailureCode } from '../../contracts/failure.ts';
import type { Headers } from '../../contracts/request.ts';
import { fault } from './fault.ts';
import { type FieldRules, parseFields } from './fields.ts';
import { parseResponseFields, type Repairs } from './response-fields.ts';

/** One size line with its extensions, which are ignored (RFC 9112 §7.1.1). Signed chunks need about 100 bytes. */
const SIZE_LINE_BYTES_MAX = 1024;
/** The whole trailer section; trailers are digests or statuses, which are short. */
const TRAILER_BYTES_MAX = 8192;
const TRAILER_FIELDS_MAX = 50;

/** Leading zeros are legal; twelve digits behind them are 256 TiB, and exact. */
const SIZE_LINE = /^0*([0-9a-f]{1,12})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?\r\n$/i;
/** Old servers pad the size with blanks, since they reserve a fixed width and fill in the number later. */
const PADDED_SIZE_LINE = /^0*([0-9a-f]{1,12})[\t ]+\r\n$/i;

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
 * Decodes the chunked coding (RFC 9112 §7.1), strictly: when two recipients read a size differently, they see two
 * different bodies. With `repairs`, for responses, a size may be padded, and trailers are read like the fields of the
 * head. Payload is moved together inside the given buffer, so that one read is passed on as one piece.
 */
export class ChunkedDecoder {
  readonly #blame: FailureCode;
  readonly #repairs: Repairs | undefined;
  #state: State = LINE;
  /** The line or trailer section so far, while it is incomplete. */
  #text = '';
  #trailers: Headers = [];

  constructor(blame: FailureCode, repairs?: Repairs) {
    this.#blame = blame;
    this.#repairs = repairs;
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

  /** Consumes up to one line end, and evaluates the line when it is complete. */
  #line(bytes: Buffer, from: number): number {
    const lf = bytes.indexOf(10, from);
    const end = lf < 0 ? bytes.length : lf + 1;
    this.#text += bytes.toString('latin1', from, end);
    const bytesMax = this.#state.at === 'trailer' ? TRAILER_BYTES_MAX : SIZE_LINE_BYTES_MAX;
    // Checked before a line end arrives: chunk data that is too long may not contain one.
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
      const size = SIZE_LINE.exec(text)?.[1] ?? this.#paddedSize(text);
      if (size === undefined) this.#refuse('a chunk size line is not valid');
      const left = Number.parseInt(size, 16);
      this.#state = left === 0 ? TRAILER : { at: 'data', left };
    }
    this.#text = '';
  }

  #paddedSize(text: string): string | undefined {
    if (this.#repairs === undefined) return undefined;
    const size = PADDED_SIZE_LINE.exec(text)?.[1];
    if (size !== undefined) this.#repairs.made = true;
    return size;
  }

  #parseTrailers(text: string): Headers {
    if (text === '\r\n') return [];
    const rules: FieldRules = { fieldsMax: TRAILER_FIELDS_MAX, blame: this.#blame, tooMany: this.#blame };
    const lines = text.slice(0, -4);
    return this.#repairs === undefined
      ? parseFields(lines, 0, rules)
      : parseResponseFields(lines, 0, rules, this.#repairs);
  }

  #refuse(why: string): never {
    throw fault(this.#blame, why);
  }
}

/** Bytes that a chunk needs around its data: size line before, CRLF behind. */
export const CHUNK_HEAD_BYTES_MAX = 10;
export const CHUNK_TAIL_BYTES = 2;

/** The size line of a chunk of `bytes`, which is at most 2^32. */
export const chunkHead = (bytes: number): string => `${bytes.toString(16)}\r\n`;
