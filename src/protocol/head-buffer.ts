const CRLF_CRLF = Buffer.from('\r\n\r\n');
const LF = 10;
const CR = 13;

const NOTHING = Buffer.alloc(0);

/** A head is rarely longer than this; a longer one doubles the buffer until the bound. */
const FIRST_BYTES = 2048;

/** What a head may cost before it is refused. */
export interface HeadLimits {
  /** Longest request line or status line, CRLF included. Default 16 KiB (RFC 9112 §3 asks for at least 8000). */
  readonly startLineBytesMax: number;
  /** Longest head, start line and final empty line included. Default 64 KiB: a Kerberos ticket with many groups fits. */
  readonly headBytesMax: number;
  /** Most field lines. Default 200; parsing costs time per line, and a byte bound alone allows 16,000 lines. */
  readonly fieldsMax: number;
}
export const HEAD_LIMITS: HeadLimits = { startLineBytesMax: 16_384, headBytesMax: 65_536, fieldsMax: 200 };

export type HeadProgress =
  /** `startLine` is there once, as soon as it is whole: one that is no HTTP need not wait for the rest of its head. */
  | { readonly at: 'more'; readonly startLine?: string }
  /** `head` ends before the empty line; `rest` is what the peer sent behind it, and is payload. */
  | { readonly at: 'head'; readonly head: string; readonly rest: Buffer }
  | {
      readonly at: 'refused';
      readonly why: 'start-line-too-long' | 'head-too-large' | 'bare-lf';
      /** The first characters, to tell a long method from a long target. */
      readonly begins: string;
    };

/** Of a refused head this much is shown. */
const BEGINS_BYTES = 64;

const MORE: HeadProgress = { at: 'more' };

/**
 * Collects one head from chunks of any size. The chunks are copied, so they may be in a shared buffer; a head that
 * arrives byte by byte costs one growing buffer, not one object per byte.
 */
export class HeadBuffer {
  readonly #limits: HeadLimits;
  #bytes: Buffer = NOTHING;
  #length = 0;
  #scanned = 0;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a chunk and looks for the end of the head. After `head` or `refused` the buffer must not be used again. */
  add(chunk: Buffer): HeadProgress {
    if (this.#length === 0) {
      // Nearly every head arrives whole: look before copying.
      const start = skipEmptyLines(chunk);
      const end = chunk.indexOf(CRLF_CRLF, start);
      if (end >= 0 && end + 4 - start <= this.#limits.headBytesMax) return this.#complete(chunk, start, end);
    }
    this.#append(chunk);
    const seen = this.#bytes.subarray(0, this.#length);
    const start = skipEmptyLines(seen);
    const end = seen.indexOf(CRLF_CRLF, Math.max(start, this.#scanned - 3));
    const headBytes = (end < 0 ? this.#length : end + 4) - start;
    if (end >= 0 && headBytes <= this.#limits.headBytesMax) return this.#complete(seen, start, end);
    const refusal = this.#refusal(seen, start, headBytes);
    const startLine = refusal === undefined ? this.#newStartLine(seen, start) : undefined;
    this.#scanned = this.#length;
    return refusal ?? (startLine === undefined ? MORE : { at: 'more', startLine });
  }

  #complete(bytes: Buffer, start: number, end: number): HeadProgress {
    const lineEnd = bytes.indexOf(LF, start);
    if (lineEnd - start >= this.#limits.startLineBytesMax) return refused('start-line-too-long', bytes, start);
    const rest = end + 4 === bytes.length ? NOTHING : Buffer.from(bytes.subarray(end + 4));
    return { at: 'head', head: bytes.toString('latin1', start, end), rest };
  }

  #refusal(seen: Buffer, start: number, headBytes: number): HeadProgress | undefined {
    const lineEnd = seen.indexOf(LF, start);
    const lineBytes = (lineEnd < 0 ? seen.length : lineEnd) - start;
    if (lineBytes >= this.#limits.startLineBytesMax) return refused('start-line-too-long', seen, start);
    if (headBytes > this.#limits.headBytesMax) return refused('head-too-large', seen, start);
    // A sender that ends lines in a bare LF never sends CRLF CRLF: say so now rather than when its time is up.
    for (let at = seen.indexOf(LF, Math.max(start, this.#scanned)); at >= 0; at = seen.indexOf(LF, at + 1)) {
      if (at === start || seen[at - 1] !== CR) return refused('bare-lf', seen, start);
    }
    return undefined;
  }

  #newStartLine(seen: Buffer, start: number): string | undefined {
    const lineEnd = seen.indexOf(LF, start);
    return lineEnd >= Math.max(start + 1, this.#scanned) ? seen.toString('latin1', start, lineEnd - 1) : undefined;
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
