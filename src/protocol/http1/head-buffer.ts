import type { Ownership } from '../../contracts/wire.ts';

const CRLF_CRLF = Buffer.from('\r\n\r\n');
const LF_CRLF = Buffer.from('\n\r\n');
const LF_LF = Buffer.from('\n\n');
const LF = 10;
const CR = 13;

const NOTHING = Buffer.alloc(0);

/** A head is rarely longer than this; a longer one doubles the buffer until the bound. */
const FIRST_BYTES = 2048;

/** Bounds of a head; beyond them it is refused. */
export interface HeadLimits {
  /** Longest request line or status line, CRLF included. Default 16 KiB (RFC 9112 §3 asks for at least 8000). */
  readonly startLineBytesMax: number;
  /** Longest head, start line and final empty line included. Default 64 KiB: a Kerberos ticket with many groups fits. */
  readonly headBytesMax: number;
  /** Most field lines. Default 200; parsing costs time per line, and a byte bound alone allows 16,000 lines. */
  readonly fieldsMax: number;
}
export const HEAD_LIMITS: HeadLimits = { startLineBytesMax: 16_384, headBytesMax: 65_536, fieldsMax: 200 };
/** For responses: some sites send hundreds of cookies, links and policies. */
export const RESPONSE_HEAD_LIMITS: HeadLimits = { ...HEAD_LIMITS, fieldsMax: 500 };

/** Line ends that are accepted. A recipient may accept a bare LF (RFC 9112 §2.2): we do from origins, not from clients. */
export type LineEnds = 'crlf' | 'lf-too';

export type HeadProgress =
  /** `startLine` is given once, as soon as it is complete: one that is not HTTP is refused before the rest of the head. */
  | { readonly at: 'more'; readonly startLine?: string }
  /**
   * `head` ends before CRLF CRLF, or behind the LF of its last line where line ends are bare; `rest` are the bytes behind
   * the empty line, which are payload.
   */
  | { readonly at: 'head'; readonly head: string; readonly rest: Buffer }
  | {
      readonly at: 'refused';
      readonly why: 'start-line-too-long' | 'head-too-large' | 'bare-lf';
      /** The first characters, to tell a long method from a long target. */
      readonly begins: string;
    };

/** How much of a refused head is returned. */
const BEGINS_BYTES = 64;

const MORE: HeadProgress = { at: 'more' };

/**
 * Collects one head from chunks of any size. A head that arrives byte by byte costs one growing buffer, not one object
 * per byte.
 */
export class HeadBuffer {
  readonly #limits: HeadLimits;
  readonly #lineEnds: LineEnds;
  #bytes: Buffer = NOTHING;
  #length = 0;
  #scanned = 0;

  constructor(limits: HeadLimits, lineEnds: LineEnds = 'crlf') {
    this.#limits = limits;
    this.#lineEnds = lineEnds;
  }

  get length(): number {
    return this.#length;
  }

  /**
   * Adds a chunk and looks for the end of the head. After `head` or `refused` the buffer must not be used again. The rest
   * of a `fresh` chunk is kept without a copy: of a thousand pipelined requests each would copy all that follow it.
   */
  add(chunk: Buffer, ownership: Ownership = 'shared'): HeadProgress {
    if (this.#length === 0) {
      // Nearly every head arrives in one chunk, which is searched before it is copied.
      const start = skipEmptyLines(chunk);
      const end = this.#lastLineEnd(chunk, start);
      if (end >= 0 && behindHead(chunk, end) - start <= this.#limits.headBytesMax) {
        return this.#complete(chunk, start, end, ownership);
      }
    }
    this.#append(chunk);
    const seen = this.#bytes.subarray(0, this.#length);
    const start = skipEmptyLines(seen);
    const end = this.#lastLineEnd(seen, Math.max(start, this.#scanned - 3));
    const headBytes = (end < 0 ? this.#length : behindHead(seen, end)) - start;
    if (end >= 0 && headBytes <= this.#limits.headBytesMax) return this.#complete(seen, start, end, 'fresh');
    const refusal = this.#refusal(seen, start, headBytes);
    const startLine = refusal === undefined ? this.#newStartLine(seen, start) : undefined;
    this.#scanned = this.#length;
    return refusal ?? (startLine === undefined ? MORE : { at: 'more', startLine });
  }

  /** Position of the LF of the last line, which an empty line follows; negative when it has not arrived yet. */
  #lastLineEnd(bytes: Buffer, from: number): number {
    if (this.#lineEnds === 'crlf') {
      const found = bytes.indexOf(CRLF_CRLF, from);
      return found < 0 ? found : found + 1;
    }
    const crlf = bytes.indexOf(LF_CRLF, from);
    const lf = (crlf < 0 ? bytes : bytes.subarray(0, crlf + 1)).indexOf(LF_LF, from);
    return lf < 0 ? crlf : lf;
  }

  #complete(bytes: Buffer, start: number, lastLineEnd: number, ownership: Ownership): HeadProgress {
    const { startLineBytesMax } = this.#limits;
    // A head that is shorter than a line may be has no line that is too long.
    if (lastLineEnd - start >= startLineBytesMax && bytes.indexOf(LF, start) - start >= startLineBytesMax)
      return refused('start-line-too-long', bytes, start);
    const from = behindHead(bytes, lastLineEnd);
    const behind = from === bytes.length ? NOTHING : bytes.subarray(from);
    const rest = ownership === 'fresh' || behind === NOTHING ? behind : Buffer.from(behind);
    const head = lineBefore(bytes, start, lastLineEnd);
    const isCrlf = bytes[lastLineEnd - 1] === CR && bytes[lastLineEnd + 1] === CR;
    return { at: 'head', head: isCrlf ? head : `${head}\n`, rest };
  }

  #refusal(seen: Buffer, start: number, headBytes: number): HeadProgress | undefined {
    const lineEnd = seen.indexOf(LF, start);
    const lineBytes = (lineEnd < 0 ? seen.length : lineEnd) - start;
    if (lineBytes >= this.#limits.startLineBytesMax) return refused('start-line-too-long', seen, start);
    if (headBytes > this.#limits.headBytesMax) return refused('head-too-large', seen, start);
    if (this.#lineEnds === 'lf-too') return undefined;
    // A client that ends lines in a bare LF never sends CRLF CRLF: it is refused now, not at the head timeout.
    for (let at = seen.indexOf(LF, Math.max(start, this.#scanned)); at >= 0; at = seen.indexOf(LF, at + 1)) {
      if (at === start || seen[at - 1] !== CR) return refused('bare-lf', seen, start);
    }
    return undefined;
  }

  #newStartLine(seen: Buffer, start: number): string | undefined {
    const lineEnd = seen.indexOf(LF, start);
    return lineEnd >= Math.max(start, this.#scanned) ? lineBefore(seen, start, lineEnd) : undefined;
  }

  #append(chunk: Buffer): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2, FIRST_BYTES));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    chunk.copy(this.#bytes, this.#length);
    this.#length = needed;
  }
}

/** Position behind a head, given the LF of its last line. */
const behindHead = (bytes: Buffer, lastLineEnd: number): number =>
  lastLineEnd + (bytes[lastLineEnd + 1] === CR ? 3 : 2);

/** Text from `start` to the end of the line whose LF is at `lf`, without that end. */
const lineBefore = (bytes: Buffer, start: number, lf: number): string =>
  bytes.toString('latin1', start, lf > start && bytes[lf - 1] === CR ? lf - 1 : lf);

const refused = (why: (HeadProgress & { at: 'refused' })['why'], seen: Buffer, start: number): HeadProgress => ({
  at: 'refused',
  why,
  begins: seen.toString('latin1', start, start + BEGINS_BYTES),
});

/** A recipient ignores empty lines before the start line (RFC 9112 §2.2); two are enough for every known client. */
function skipEmptyLines(bytes: Buffer): number {
  let start = 0;
  while (start < 4 && bytes[start] === CR && bytes[start + 1] === LF) start += 2;
  return start;
}
