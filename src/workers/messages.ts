import type { ToBorrower, ToOwner } from '../limits/lease.ts';
import type { Listen } from '../listeners/options.ts';
import type { LogonAnswer, LogonAsk } from './logon-messages.ts';

/** What a process needs to serve: settings as they were written, and addresses whose ports are known. */
export interface Settings {
  readonly values: unknown;
  readonly listen: readonly Listen[];
  /** Key of the ids of credentials, in base64: another one for each reload, which lifts what is latched. */
  readonly idKey: string;
}

/** What makes several processes one proxy. */
export interface Membership {
  readonly suffix: string;
  readonly idPrefix: string;
  /** When the proxy was started, on the wall clock. */
  readonly startedMs: number;
  /** Passwords that a person has typed, by account. */
  readonly prompted: readonly (readonly [account: string, secret: string])[];
}

/** What a worker is asked to do; each is answered once, by `ask`. */
export type Request =
  | ({ readonly do: 'start' } & Settings & Membership)
  /** Everything of a reload that may fail. Then either `commit` or `abandon`. */
  | ({ readonly do: 'prepare' } & Settings)
  | { readonly do: 'commit' }
  | { readonly do: 'abandon' }
  /** Answered with the requests that are open. */
  | { readonly do: 'count' }
  /** Answered with the requests that were cut, when all is closed. */
  | { readonly do: 'close'; readonly drainMs: number };

export type ToWorker =
  | ({ readonly ask: number } & Request)
  | { readonly do: 'limits'; readonly messages: readonly ToBorrower[] }
  | { readonly do: 'logon'; readonly answer: LogonAnswer };

export type FromWorker =
  /** The program is loaded: it can be asked to start. */
  | { readonly did: 'load' }
  | { readonly did: 'answer'; readonly ask: number; readonly value: number }
  | { readonly did: 'fail'; readonly ask: number; readonly error: SentError }
  | { readonly did: 'notice'; readonly level: 'info' | 'warn' | 'error'; readonly message: string }
  | { readonly did: 'limits'; readonly messages: readonly ToOwner[] }
  | { readonly did: 'logon'; readonly asked: LogonAsk };

/** What of an error matters to whoever prints it. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
}

export function sentError(error: unknown): SentError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), code: undefined };
  return { name: error.name, message: error.message, code: 'code' in error ? String(error.code) : undefined };
}

/** The channel is between a process and the one that started it: both run the same program. */
export const isToWorker = (message: unknown): message is ToWorker =>
  typeof message === 'object' && message !== null && 'do' in message;
export const isFromWorker = (message: unknown): message is FromWorker =>
  typeof message === 'object' && message !== null && 'did' in message;
