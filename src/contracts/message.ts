import type { Headers } from './request.ts';

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
}

/** A complete response of our own. */
export interface LocalResponse extends ResponseHead {
  /** Text is sent as UTF-8. */
  readonly body: string | Buffer;
}
