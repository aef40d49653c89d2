import type { BandwidthState, LimitState, QuotaState } from '../limit-state.ts';
import type { RefusalCode } from '../refusal.ts';
import type { Subject } from '../subject.ts';
import type { BudgetKey, Demand } from './backend.ts';

// These travel as JSON: neither bigint, Date nor Infinity may be in them. Each side numbers what it asks for itself.

/** What a worker sends to the owner of the limits. */
export type ToLimitsServer =
  | { readonly type: 'admit'; readonly request: number; readonly subject: SentSubject }
  /** A tunnel that was opened while no limit counted it: it is counted now, even above the limit. */
  | { readonly type: 'register'; readonly request: number; readonly subject: SentSubject }
  /** The request has ended, or its client has gone before it was admitted. */
  | { readonly type: 'release'; readonly request: number }
  | ({ readonly type: 'open'; readonly budget: number } & BudgetKey)
  | ({ readonly type: 'want'; readonly budget: number } & Demand)
  | { readonly type: 'refund'; readonly budget: number; readonly bytes: number }
  /** The response to a recall. */
  | { readonly type: 'surrender'; readonly budget: number; readonly bytes: number }
  | { readonly type: 'close'; readonly budget: number }
  | { readonly type: 'describe'; readonly query: number }
  /** The response to `report`. */
  | { readonly type: 'reported'; readonly query: number; readonly states: readonly BandwidthState[] };

/** What the owner of the limits sends to a worker. */
export type ToLimitsClient =
  | { readonly type: 'admitted'; readonly request: number }
  | ({ readonly type: 'refused'; readonly request: number } & SentRefusal)
  | { readonly type: 'grant'; readonly budget: number; readonly bytes: number }
  | { readonly type: 'exhausted'; readonly budget: number; readonly forMs: number }
  | { readonly type: 'recall'; readonly budget: number }
  /** The response to `describe`. */
  | { readonly type: 'described'; readonly query: number; readonly states: readonly SentLimitState[] }
  /** Asks what passes under the bandwidth limits in the worker. */
  | { readonly type: 'report'; readonly query: number };

/** A subject without its parsed address, which only the process that matches rules needs. */
export type SentSubject = Omit<Subject, 'address'>;

export const toSentSubject = ({ id, client, user, host, port, isTunnel }: Subject): SentSubject => ({
  id,
  client,
  user,
  host,
  port,
  isTunnel,
});

/** Counting needs no address: the key that is made of it is in `client`. */
export const fromSentSubject = (subject: SentSubject): Subject => ({ ...subject, address: undefined });

/** A refusal on its way to the process that responds to the client. */
export interface SentRefusal {
  readonly code: RefusalCode;
  readonly detail: string;
  readonly clientDetail: string | undefined;
  readonly headers: readonly (readonly [string, string])[];
}

interface SentQuotaState extends Omit<QuotaState, 'max' | 'users'> {
  readonly max: string;
  readonly users: readonly { readonly key: string; readonly used: string; readonly resetsAtMs: number }[];
}
export type SentLimitState = Exclude<LimitState, QuotaState> | SentQuotaState;

export function toSentState(state: LimitState): SentLimitState {
  if (state.kind !== 'quota') return state;
  const users = state.users.map(({ key, used, resetsAt }) => ({
    key,
    used: String(used),
    resetsAtMs: resetsAt.getTime(),
  }));
  return { ...state, max: String(state.max), users };
}

export function fromSentState(state: SentLimitState): LimitState {
  // JSON leaves out what is `undefined`.
  if (state.kind === 'bandwidth') return { ...state, rate: state.rate };
  if (state.kind !== 'quota') return state;
  const users = state.users.map(({ key, used, resetsAtMs }) => ({
    key,
    used: BigInt(used),
    resetsAt: new Date(resetsAtMs),
  }));
  return { ...state, max: BigInt(state.max), users };
}
