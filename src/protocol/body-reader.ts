import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { Body, Framing, Headers } from '../core/request.ts';
import type { Ownership, Receiver, Wire } from '../core/source.ts';
import { ChunkedDecoder } from './chunked.ts';

export interface BodyEnds {
  /** The body is complete and the wire is free again; `rest` arrived behind it. Called before the receiver's `end`. */
  done(rest: Buffer): void;
  /** What a body becomes whose peer ends before its end. */
  readonly truncated: FailureCode;
  /** What a body becomes whose connection breaks. */
  readonly broken: FailureCode;
  /** What a broken coding becomes. */
  readonly malformed: FailureCode;
}

/** Reads one message body off a wire, as its framing says (RFC 9112 §6.3), and never a byte beyond it. */
export class BodyReader implements Body, Receiver {
  readonly framing: Framing;
  readonly #wire: Wire;
  readonly #ends: BodyEnds;
  readonly #decoder: ChunkedDecoder | undefined;
  #left: number;
  #early: Buffer | undefined;
  #receiver: Receiver | undefined;
  #finished = false;

  /** `early` is what arrived behind the head. The wire stays with this reader until `ends.done`. */
  constructor(wire: Wire, framing: Exclude<Framing, { kind: 'none' }>, early: Buffer, ends: BodyEnds) {
    this.framing = framing;
    this.#wire = wire;
    this.#ends = ends;
    this.#early = early;
    this.#decoder = framing.kind === 'chunked' ? new ChunkedDecoder(ends.malformed) : undefined;
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
  }

  get trailers(): Headers {
    return this.#decoder?.trailers ?? [];
  }

  deliverTo(receiver: Receiver | undefined): void {
    this.#receiver = receiver;
    if (this.#finished) return;
    const early = this.#early;
    if (receiver === undefined || early === undefined) return this.#wire.deliverTo(receiver && this);
    this.#early = undefined;
    // First the receiver may pause, then the wire is asked: `resume` comes from whoever paused.
    this.#wire.deliverTo(this);
    if (early.length > 0 || (this.framing.kind === 'length' && this.#left === 0)) this.bytes(early, 'fresh');
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
    // The rest is copied before the receiver runs: it may lend another buffer or let this one be overwritten.
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

  /** Ends the body where it stands: its connection has another use for the wire, or none. */
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
