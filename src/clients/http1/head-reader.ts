import { asProxyError, type FailureCode, ProxyError } from '../../contracts/failure.ts';
import type { Ownership } from '../../contracts/wire.ts';
import { HeadBuffer, type HeadProgress } from '../../protocol/http1/head-buffer.ts';
import { isMethodTooLong, parseRequestLine } from '../../protocol/http1/request-head.ts';
import type { Http1Context } from './context.ts';
import { otherProtocol } from './other-protocol.ts';

/** A whole head may take this many times the silence that is allowed inside it: one byte now and then is no progress. */
const HEAD_TOTAL_FACTOR = 6;

export type RequestHeadProgress =
  | (HeadProgress & { readonly at: 'head' })
  | { readonly at: 'refused'; readonly error: ProxyError }
  /** `begun`: these were its first bytes, and its time runs from here on. */
  | typeof BEGUN
  | typeof MORE;

const BEGUN = { at: 'begun' } as const;
const MORE = { at: 'more' } as const;

/** A connection before or inside a request head. */
export class HeadReader {
  readonly at = 'head';
  /** Whether it is the first of its connection. */
  readonly which: 'first' | 'next';
  readonly #context: Http1Context;
  readonly #buffer: HeadBuffer;
  #sinceMs = 0;

  constructor(which: 'first' | 'next', context: Http1Context) {
    this.which = which;
    this.#context = context;
    this.#buffer = new HeadBuffer(context.headLimits);
  }

  /** Whether a part of the head is there. */
  get hasBegun(): boolean {
    return this.#buffer.length > 0;
  }

  /** How long the client may be silent now. */
  get limitMs(): number {
    return this.which === 'first' || this.hasBegun ? this.#context.requestHeadMs : this.#context.keepAliveMs;
  }

  add(chunk: Buffer, ownership: Ownership): RequestHeadProgress {
    const isFirst = !this.hasBegun;
    // No method begins like this: a TLS or SOCKS client at the wrong port learns it now, not when its time is up.
    const [first = 0] = chunk;
    if (isFirst && first < 0x21 && first !== 0x0d) return refused('bad_request', otherProtocol(first));
    const progress = this.#buffer.add(chunk, ownership);
    if (progress.at === 'head') return progress;
    if (progress.at === 'refused') return refused(codeOf(progress), `the request head: ${progress.why}`);
    if (progress.startLine !== undefined) {
      try {
        parseRequestLine(progress.startLine);
      } catch (thrown) {
        return { at: 'refused', error: asProxyError(thrown) };
      }
    }
    const nowMs = this.#context.clock.now();
    if (isFirst) {
      this.#sinceMs = nowMs;
      return BEGUN;
    }
    return nowMs - this.#sinceMs > this.#context.requestHeadMs * HEAD_TOTAL_FACTOR
      ? refused('client_too_slow', 'the request head trickles')
      : MORE;
  }
}

const refused = (code: FailureCode, detail: string): RequestHeadProgress => ({
  at: 'refused',
  error: new ProxyError(code, detail),
});

type RefusedHead = HeadProgress & { readonly at: 'refused' };
const codeOf = ({ why, begins }: RefusedHead): FailureCode =>
  why === 'start-line-too-long' && isMethodTooLong(begins) ? 'not_implemented' : CODES[why];

const CODES: Readonly<Record<RefusedHead['why'], FailureCode>> = {
  'start-line-too-long': 'target_too_long',
  'head-too-large': 'head_too_large',
  'bare-lf': 'bad_request',
};
