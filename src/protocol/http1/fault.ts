import { type FailureCode, ProxyError } from '../../contracts/failure.ts';

/** A fault of a message, for the log and for the client: `what` must not contain any byte of the message. */
export const fault = (code: FailureCode, what: string, cause?: unknown): ProxyError =>
  new ProxyError(code, what, { fault: what, cause });
