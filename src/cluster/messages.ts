import type { Listen } from '../clients/options.ts';
import type { Parcel } from '../config/reload/parcels.ts';
import type { DrainReport } from '../contracts/drain-report.ts';
import type { NoticeLevel } from '../contracts/event.ts';
import type { ModeState } from '../contracts/routing.ts';
import type { ToLimitsClient, ToLimitsServer } from '../limits/shared/messages.ts';
import type { ListenAddress } from '../policy/listen-addresses.ts';
import type { LiveQuery, LiveResponse } from './live-messages.ts';
import type { RotationRequest, RotationResult } from './log-rotation.ts';
import type { LoginRequest, LoginResponse } from './login-messages.ts';
import type { NonceRequest, NonceResponse } from './nonce-counting.ts';

/** What a worker needs besides the configuration that it was sent: the addresses with the ports that were found. */
export interface Settings {
  readonly listen: readonly Listen[];
  /** Key of the ids of credentials, in base64: all workers make the same ids. */
  readonly idKey: string;
}

/** What makes several processes one proxy. */
export interface Membership {
  readonly suffix: string;
  readonly idPrefix: string;
  /** When the proxy was started, on the wall clock. */
  readonly startedMs: number;
  /** Where the primary listens for the dashboard: no route leads there. */
  readonly ownAddresses: readonly ListenAddress[];
  readonly mode: ModeState;
  /** Passwords that a person has typed at the start, by account. */
  readonly prompted: readonly (readonly [account: string, secret: string])[];
}

/** What the primary requests of a worker. Each gets one response with the same `requestId`. */
export type WorkerRequest =
  /** A part of the configuration for the next `start` or `prepare`. */
  | { readonly type: 'take'; readonly parcel: Parcel }
  | ({ readonly type: 'start' } & Settings & Membership)
  /** Does all of a reload that may fail. Either `commit` or `abandon` follows. */
  | ({ readonly type: 'prepare' } & Settings)
  /** The same for other addresses alone, as the bridges are now. */
  | { readonly type: 'prepare-listeners'; readonly listen: readonly Listen[] }
  | { readonly type: 'commit' }
  | { readonly type: 'abandon' }
  /** Opens the log file anew. */
  | { readonly type: 'reopen-log' }
  /** The response is the number of open requests. */
  | { readonly type: 'count' }
  /** The response, when all is closed, carries what became of the open requests. */
  | { readonly type: 'close'; readonly drainMs: number };

export type ToWorker =
  | ({ readonly requestId: number } & WorkerRequest)
  | { readonly type: 'limits'; readonly messages: readonly ToLimitsClient[] }
  | { readonly type: 'login'; readonly response: LoginResponse }
  | { readonly type: 'live'; readonly request: LiveQuery }
  | { readonly type: 'rotated'; readonly result: RotationResult }
  | { readonly type: 'nonce-used'; readonly response: NonceResponse };

export type FromWorker =
  /** The program is loaded, and can take requests. */
  | { readonly type: 'loaded' }
  | {
      readonly type: 'response';
      readonly requestId: number;
      readonly value: number;
      readonly drained?: DrainReport;
    }
  | { readonly type: 'failed'; readonly requestId: number; readonly error: SentError }
  | { readonly type: 'notice'; readonly level: NoticeLevel; readonly message: string; readonly id?: string | undefined }
  | { readonly type: 'limits'; readonly messages: readonly ToLimitsServer[] }
  | { readonly type: 'login'; readonly request: LoginRequest }
  | { readonly type: 'live'; readonly response: LiveResponse }
  /** A client has sent a right password in Digest. The primary responds with `nonce-used`. */
  | { readonly type: 'use-nonce'; readonly request: NonceRequest }
  /** The log file of the worker is full. The primary moves it away, and responds with `rotated`. */
  | { readonly type: 'fill-log'; readonly request: RotationRequest };

/** The parts of an error that are printed. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
}

export function sentError(error: unknown): SentError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), code: undefined };
  return { name: error.name, message: error.message, code: 'code' in error ? String(error.code) : undefined };
}

/** The channel connects a process and its child, which run the same program: the shape of a message need not be checked. */
export const isToWorker = (message: unknown): message is ToWorker => hasType(message);
export const isFromWorker = (message: unknown): message is FromWorker => hasType(message);
const hasType = (message: unknown): boolean => typeof message === 'object' && message !== null && 'type' in message;
