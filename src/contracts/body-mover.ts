import type { MaybeAsync } from '../util/maybe-async.ts';
import type { StopSignal } from '../util/stop.ts';
import type { FailureCode } from './failure.ts';
import type { Body, Headers } from './request.ts';
import type { Gate } from './stages.ts';
import type { Sink } from './wire.ts';

/** Moves one message body into a stream. */
export interface BodyMover {
  /** The bytes of payload, once the whole body, its last chunk and trailers included, is written. */
  move(body: Body, to: Sink, terms: BodyTerms): MaybeAsync<number>;
}

export interface BodyHead {
  /** In Latin-1. */
  readonly text: string;
  onWritten(): void;
}

export interface BodyTerms {
  /** Goes out in front of the body; a body that fails before its first byte takes nothing with it. */
  readonly head: BodyHead | undefined;
  readonly coding: 'raw' | 'chunked';
  /** Trailer fields that may go on, out of those that arrived. */
  readonly trailers: (arrived: Headers) => Headers;
  readonly gate: Gate | undefined;
  readonly signal: StopSignal;
  /** How long the source may deliver nothing, and how long the stream may take nothing; 0: for ever. */
  readonly silentMs: number;
  readonly stuckMs: number;
  /** What silence of the source, silence of the stream, and a broken stream become. */
  readonly silent: FailureCode;
  readonly stuck: FailureCode;
  readonly broken: FailureCode;
  readonly count: (bytes: number) => void;
}
