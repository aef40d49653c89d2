import { type FailureCode, ProxyError } from '../../contracts/failure.ts';
import type { Body, Framing, Headers } from '../../contracts/request.ts';
import type { Ownership, Receiver, Wire } from '../../contracts/wire.ts';
import { ChunkedDecoder } from './chunked.ts';
import type { Repairs } from './response-fields.ts';

export interface BodyEnds {
  /** The body is complete and the wire is free again; `rest` arrived behind it. Called before the receiver's `end`. */
  done(rest: Buffer): void;
  /** The failure of a body whose peer ends the connection before its end. */
  readonly truncated: FailureCode;
  /** The failure of a body whose connection breaks. */
  readonly broken: FailureCode;
  /** The failure of a body with a malformed coding. */
  readonly malformed: FailureCode;
  /** For a response: its coding may be repaired where its meaning is unambiguous. */
  readonly repairs?: Repairs;
}

/** The bytes that arrived behind the head, or the buffer of all bytes until the body has a receiver. */
export type Early = Buffer | { take(): Buffer };

const NOTHING = Buffer.alloc(0);

/** Reads one message body off a wire, as its framing says (RFC 9112 §6.3), and never a byte beyond it. */
export class BodyReader implements Body, Receiver {
  readonly framing: Framing;
  readonly #wire: Wire;
  readonly #ends: BodyEnds;
  readonly #decoder: ChunkedDecoder | undefined;
  #left: number;
  #early: Early | undefined;
  #receiver: Receiver | undefined;
  #finished = false;

  /** `early`: bytes that arrived behind the head. From the first receiver until `ends.done` the wire belongs to this reader. */
  constructor(wire: Wire, framing: Exclude<Framing, { kind: 'none' }>, early: Early, ends: BodyEnds) {
    this.framing = framing;
    this.#wire = wire;
    this.#ends = ends;
    this.#early = early;
    this.#decoder = framing.kind === 'chunked' ? new ChunkedDecoder(ends.malformed, ends.repairs) : undefined;
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
  }

  get trailers(): Headers {
    return this.#decoder?.trailers ?? [];
  }

  deliverTo(receiver: Receiver | undefined): void {
    this.#receiver = receiver;
    if (this.#finished) return;
    if (receiver === undefined || this.#early === undefined) return this.#wire.deliverTo(receiver && this);
    const early = Buffer.isBuffer(this.#early) ? this.#early : this.#early.take();
    this.#early = undefined;
    // The wire delivers here before early bytes are passed on: a receiver that pauses in between pauses the wire.
    this.#wire.deliverTo(this);
    if (early.length > 0 || (this.framing.kind === 'length' && this.#left === 0)) this.bytes(early, 'fresh');
  }

  takeWhole(): Buffer | undefined {
    const early = this.#early;
    if (this.#finished || this.framing.kind !== 'length' || !Buffer.isBuffer(early)) return undefined;
    if (early.length < this.#left) return undefined;
    this.#early = undefined;
    this.#finished = true;
    this.#ends.done(early.length === this.#left ? NOTHING : early.subarray(this.#left));
    return early.length === this.#left ? early : early.subarray(0, this.#left);
  }

  pause(): void {
    if (!this.#finished) this.#wire.pause();
  }

  resume(): void {
    if (!this.#finished) this.#wire.resume();
  }

  lend(buffer: Buffer | undefined): void {
    this.#wire.lend(buffer);
  }

  bytes(chunk: Buffer, ownership: Ownership): void {
    if (this.framing.kind === 'until-close') {
      this.#receiver?.bytes(chunk, ownership);
      return;
    }
    let payload: Buffer;
    let used: number;
    try {
      ({ payload, used } = this.#take(chunk));
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    const complete = this.#decoder === undefined ? this.#left === 0 : this.#decoder.done;
    // The rest is copied before the receiver runs, which may lend another buffer or have this one overwritten.
    const rest = complete ? Buffer.from(chunk.subarray(used)) : undefined;
    if (payload.length > 0) this.#receiver?.bytes(payload, ownership);
    // The receiver may have abandoned the body meanwhile.
    if (rest !== undefined && !this.#finished) this.#complete(rest);
  }

  end(): void {
    if (this.framing.kind === 'until-close') this.#complete(Buffer.alloc(0));
    else this.#fail(new ProxyError(this.#ends.truncated, 'the connection ended in the middle of a body'));
  }

  failed(error: Error): void {
    this.#fail(new ProxyError(this.#ends.broken, 'the connection broke in the middle of a body', { cause: error }));
  }

  /** Ends the body before its end: its connection needs the wire for something else, or closes. */
  abandon(error: Error): void {
    this.#fail(error);
  }

  #take(chunk: Buffer): { payload: Buffer; used: number } {
    if (this.#decoder !== undefined) return this.#decoder.decode(chunk);
    const used = Math.min(this.#left, chunk.length);
    this.#left -= used;
    return { payload: chunk.subarray(0, used), used };
  }

  #complete(rest: Buffer): void {
    this.#finished = true;
    this.#wire.lend(undefined);
    this.#wire.deliverTo(undefined);
    this.#ends.done(rest);
    this.#receiver?.end();
  }

  #fail(error: Error): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#wire.deliverTo(undefined);
    this.#receiver?.failed(error);
  }
}
