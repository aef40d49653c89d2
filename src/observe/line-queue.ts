/**
 * Lines that wait to be written, as bytes in chunks of whole lines. As strings they would stay in the heap until they are written,
 * each in the thirty parts that it was put together from, and every collection meanwhile would copy them.
 */
export class LineQueue {
  readonly #chunkBytesMax: number;
  readonly #full: Buffer[] = [];
  #open: Buffer | undefined;
  /** In `#open`. */
  #used = 0;
  /** The memory of the chunk that was taken last, and that of one that was written. */
  #taken: Buffer | undefined;
  #spare: Buffer | undefined;

  /** A line that is longer has a chunk of its own. */
  constructor(chunkBytesMax: number) {
    this.#chunkBytesMax = chunkBytesMax;
  }

  /** A line without its line end. Gives the bytes of both. */
  add(line: string): number {
    const open = this.#chunkWith(line);
    const before = this.#used;
    this.#used += open.write(line, before);
    open[this.#used++] = LF;
    return this.#used - before;
  }

  /** The oldest chunk; `undefined` when no line waits. It is valid until `written`, which comes before the next `take`. */
  take(): Buffer | undefined {
    const full = this.#full.shift();
    if (full !== undefined) return full;
    if (this.#open === undefined || this.#used === 0) return undefined;
    this.#taken = this.#open;
    const lines = this.#open.subarray(0, this.#used);
    this.#open = undefined;
    this.#used = 0;
    return lines;
  }

  /** The chunk that was taken is not needed any more. */
  written(): void {
    // Most chunks of a proxy with little to do are not full: a new one for each would be a page or more of garbage per line.
    this.#spare = this.#taken ?? this.#spare;
    this.#taken = undefined;
  }

  clear(): void {
    this.#full.length = 0;
    this.#open = undefined;
    this.#used = 0;
  }

  #chunkWith(line: string): Buffer {
    const open = this.#open;
    if (open !== undefined && this.#fits(line, open.length - this.#used)) return open;
    if (open !== undefined && this.#used > 0) this.#full.push(open.subarray(0, this.#used));
    this.#used = 0;
    const spare = this.#spare;
    this.#spare = undefined;
    const isLong = line.length * UTF8_BYTES_MAX + 1 > this.#chunkBytesMax;
    const bytes = isLong ? Math.max(this.#chunkBytesMax, Buffer.byteLength(line) + 1) : this.#chunkBytesMax;
    this.#open = spare?.length === bytes ? spare : Buffer.allocUnsafeSlow(bytes);
    return this.#open;
  }

  /** To count the bytes of a line costs as much as half of it: that is only done where it may matter. */
  #fits(line: string, space: number): boolean {
    return line.length * UTF8_BYTES_MAX + 1 <= space || Buffer.byteLength(line) + 1 <= space;
  }
}

const LF = 0x0a;
/** Of one UTF-16 code unit. */
const UTF8_BYTES_MAX = 3;
