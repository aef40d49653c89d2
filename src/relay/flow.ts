import type { BodyHead } from '../contracts/body-mover.ts';
import type { Gate } from '../contracts/stages.ts';
import type { ByteSource, Ownership, Receiver, Sink } from '../contracts/wire.ts';
import { CHUNK_HEAD_BYTES_MAX, CHUNK_TAIL_BYTES, chunkHead } from '../protocol/http1/chunked.ts';
import { returnBulkBuffer, takeBulkBuffer } from './buffers.ts';

/** After a read of this size more is probably waiting: the flow gets a buffer of its own. */
const BULK_FROM_BYTES = 32_768;
/** After so many reads in a row that are smaller than this, the flow gives it back. */
const SMALL_READ_BYTES = 8_192;
const SMALL_READS_MAX = 16;

export type FlowEnd =
  /** The source ended, and all of it was handed on. */
  | { readonly at: 'ended' }
  /** The source failed. */
  | { readonly at: 'failed'; readonly error: Error }
  /** The stream that is written to failed. */
  | { readonly at: 'broken'; readonly error: Error }
  /** A gate granted nothing for good: the permit is over. */
  | { readonly at: 'forbidden' };

export interface FlowOptions {
  readonly source: ByteSource;
  readonly to: Sink;
  /** `chunked` wraps what is written in the chunked coding; the last chunk is for the caller to write. */
  readonly coding: 'raw' | 'chunked';
  readonly gate: Gate | undefined;
  /** Goes out in front of the first bytes, and in the same packet where those are there already; not counted. */
  readonly prefix?: BodyHead | undefined;
  /** Called with the number of bytes of each write. */
  readonly count: (bytes: number) => void;
  /** Called once. Nothing is written afterwards. */
  readonly ended: (end: FlowEnd) => void;
}

/** Whether the bytes before and behind a piece are free: a chunk is then made around it, where it lies. */
type Margin = 'around' | 'none';

/**
 * One direction of a relay, or one body: moves what a source delivers into a stream, never faster than the stream
 * takes it, and holds at most one read. A tunnel is two of these.
 */
export class Flow implements Receiver {
  readonly #options: FlowOptions;
  /** A read that waits for the gate or for the stream; the source is paused meanwhile. */
  #held: Buffer | undefined;
  #blockedOn: 'nothing' | 'stream' | 'gate' = 'nothing';
  #state: 'flowing' | 'draining' | 'over' = 'flowing';
  #bulk: Buffer | undefined;
  #smallReads = 0;
  /** Set whenever bytes move, cleared by the owner of the flow, which watches for silence. */
  touched = true;

  #prefix: BodyHead | undefined;

  constructor(options: FlowOptions) {
    this.#options = options;
    this.#prefix = options.prefix;
  }

  /** Whether bytes have been read that are not written yet. */
  get isHolding(): boolean {
    return this.#held !== undefined;
  }

  get blockedOn(): 'nothing' | 'stream' | 'gate' {
    return this.#blockedOn;
  }

  /** Starts with what the source has delivered before. */
  start(early: Buffer): this {
    if (early.length > 0) this.bytes(early, 'fresh');
    if (this.#state !== 'flowing') return this;
    this.#options.source.deliverTo(this);
    this.#writePrefix();
    if (this.#blockedOn !== 'nothing') this.#options.source.pause();
    return this;
  }

  /** Ends the flow where it stands; `ended` is not called. */
  stop(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#held = undefined;
    this.#options.source.deliverTo(undefined);
    // The socket may already have the buffer for its next read, and its next owner may let it read on: such a buffer is
    // never lent to another flow, or one client's bytes would land in another's response.
    this.#bulk = undefined;
  }

  bytes(chunk: Buffer, ownership: Ownership): void {
    if (this.#state !== 'flowing') return;
    this.touched = true;
    this.#pass(this.#keep(chunk, ownership), ownership === 'fresh' ? 'none' : 'around');
    if (this.#blockedOn !== 'nothing') this.#options.source.pause();
  }

  end(): void {
    if (this.#state !== 'flowing') return;
    this.#state = 'draining';
    if (this.#held === undefined) this.#finish({ at: 'ended' });
  }

  failed(error: Error): void {
    this.#finish({ at: 'failed', error });
  }

  /** A chunk that nothing overwrites: a lent buffer stays where it is while it is written, a shared one is copied. */
  #keep(chunk: Buffer, ownership: Ownership): Buffer {
    if (ownership === 'fresh') return chunk;
    if (ownership === 'shared') {
      if (chunk.length >= BULK_FROM_BYTES) this.#borrowBulk();
      return this.#copy(chunk);
    }
    if (chunk.length >= SMALL_READ_BYTES) {
      this.#smallReads = 0;
      return chunk;
    }
    if (++this.#smallReads < SMALL_READS_MAX) return chunk;
    const copy = this.#copy(chunk);
    this.#options.source.lend(undefined);
    this.#releaseBulk();
    return copy;
  }

  #borrowBulk(): void {
    this.#smallReads = 0;
    this.#bulk ??= takeBulkBuffer();
    this.#options.source.lend(this.#bulk);
  }

  #copy(chunk: Buffer): Buffer {
    const copy = Buffer.allocUnsafe(CHUNK_HEAD_BYTES_MAX + chunk.length + CHUNK_TAIL_BYTES);
    chunk.copy(copy, CHUNK_HEAD_BYTES_MAX);
    return copy.subarray(CHUNK_HEAD_BYTES_MAX, CHUNK_HEAD_BYTES_MAX + chunk.length);
  }

  /** Writes as much as gate and stream allow, and holds the rest. */
  #pass(chunk: Buffer, margin: Margin): void {
    const { gate } = this.#options;
    if (gate === undefined) return this.#write(chunk, margin);
    let rest = chunk;
    while (rest.length > 0 && this.#state !== 'over') {
      if (this.#blockedOn === 'stream') return this.#hold(rest);
      const granted = gate.take(rest.length);
      if (typeof granted !== 'number') return this.#waitForGate(rest, granted);
      if (granted === 0) return this.#finish({ at: 'forbidden' });
      this.#write(
        granted === rest.length ? rest : rest.subarray(0, granted),
        granted === chunk.length ? margin : 'none',
      );
      rest = rest.subarray(granted);
    }
  }

  #hold(rest: Buffer): void {
    this.#held = rest;
  }

  #waitForGate(rest: Buffer, granted: Promise<number>): void {
    this.#hold(rest);
    this.#blockedOn = 'gate';
    this.#options.source.pause();
    granted.then((bytes) => {
      if (this.#state === 'over') return this.#options.gate?.refund(bytes);
      if (bytes === 0) return this.#finish({ at: 'forbidden' });
      this.#blockedOn = 'nothing';
      this.#held = undefined;
      this.#write(rest.subarray(0, bytes), 'none');
      this.#goOn(rest.subarray(bytes));
    });
  }

  #goOn(rest: Buffer | undefined): void {
    this.#held = undefined;
    if (rest !== undefined && rest.length > 0) this.#pass(rest, 'none');
    if (this.#state === 'over' || this.#held !== undefined || this.#blockedOn !== 'nothing') return;
    if (this.#state === 'draining') this.#finish({ at: 'ended' });
    else this.#options.source.resume();
  }

  #write(chunk: Buffer, margin: Margin): void {
    const { to, coding, count } = this.#options;
    count(chunk.length);
    to.write(this.#inFront(coding === 'chunked' ? wrap(chunk, margin) : chunk), this.#written);
    // What the kernel took at once leaves the buffer free; the rest stays in it until it is written.
    if (to.writableLength > 0) this.#blockedOn = 'stream';
  }

  readonly #written = (error?: Error | null): void => {
    if (error) return this.#finish({ at: 'broken', error });
    this.touched = true;
    if (this.#state === 'over' || this.#blockedOn !== 'stream' || this.#options.to.writableLength > 0) return;
    this.#blockedOn = 'nothing';
    this.#goOn(this.#held);
  };

  #inFront(bytes: Buffer): Buffer {
    const prefix = this.#prefix;
    if (prefix === undefined) return bytes;
    this.#prefix = undefined;
    prefix.onWritten();
    if (prefix.text === '') return bytes;
    const both = Buffer.allocUnsafe(prefix.text.length + bytes.length);
    both.write(prefix.text, 'latin1');
    bytes.copy(both, prefix.text.length);
    return both;
  }

  #writePrefix(): void {
    const prefix = this.#prefix;
    if (prefix === undefined || this.#state === 'over') return;
    this.#prefix = undefined;
    prefix.onWritten();
    if (prefix.text !== '') this.#options.to.write(prefix.text, 'latin1');
  }

  #finish(end: FlowEnd): void {
    if (this.#state === 'over') return;
    if (end.at === 'ended') {
      this.#writePrefix();
      this.#releaseBulk();
    }
    this.stop();
    this.#options.ended(end);
  }

  #releaseBulk(): void {
    const bulk = this.#bulk;
    this.#bulk = undefined;
    // While the stream still writes from it, the buffer belongs to the stream; the garbage collector takes it later.
    if (bulk !== undefined && this.#options.to.writableLength === 0) returnBulkBuffer(bulk);
  }
}

/** A chunk of the chunked coding (RFC 9112 §7.1). Copying each would leave as much garbage as passes in payload. */
function wrap(piece: Buffer, margin: Margin): Buffer {
  const head = chunkHead(piece.length);
  const length = head.length + piece.length + CHUNK_TAIL_BYTES;
  const whole =
    margin === 'around'
      ? Buffer.from(piece.buffer, piece.byteOffset - head.length, length)
      : Buffer.concat([Buffer.allocUnsafe(head.length), piece, Buffer.allocUnsafe(CHUNK_TAIL_BYTES)], length);
  whole.write(head, 0, 'latin1');
  whole[length - 2] = 13;
  whole[length - 1] = 10;
  return whole;
}
