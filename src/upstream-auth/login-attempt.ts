import type { StopSignal } from '../util/stop.ts';

/** Which secret at which proxy: `Credential.id`, and the proxy in its one spelling. */
export interface LoginKey {
  readonly secret: string;
  readonly proxy: string;
}

/**
 * A response to a proof that neither accepts nor rejects it. `status`, `silence`: to a message whose target may have
 * caused it. `question-…`: to a question that the proxy answers itself. Silence: no response, one that is no HTTP, or a 401,
 * which no proxy gives for a target.
 */
export type Doubt = 'status' | 'silence' | 'question-status' | 'question-silence';

/** What an attempt may do. */
export interface LoginAttemptTerms {
  /** `exclusive`: at most one other proof with this secret is on its way. `trusted`: the secret has just been accepted. */
  readonly kind: 'exclusive' | 'trusted';
  /** Others went first: a connection that was opened meanwhile may have been closed again. */
  readonly hasWaited: boolean;
  /** The proof goes first with a question to the proxy itself, so that no target can hold up or forge the outcome. */
  readonly asksProxyFirst: boolean;
  /** One more doubt, and the secret is held back. */
  readonly isInDoubt: boolean;
  /** The proxy has accepted this secret before. */
  readonly wasAccepted: boolean;
}

/** The permission to send a proof. Dispose it when no proof was sent. */
export interface LoginAttempt extends LoginAttemptTerms, Disposable {
  accepted(): void;
  rejected(): void;
  /** `held`: the secret is not sent from now on. */
  doubt(doubt: Doubt): 'again' | 'held';
}

/** Why no proof may be sent. */
export type LoginDenial =
  /** `retryMs`: until it is tried once more by itself; `undefined`: when the user lifts the latch. */
  | { readonly denied: 'rejected'; readonly retryMs: number | undefined }
  /** By other proxies; this one has not seen it. */
  | { readonly denied: 'rejected-elsewhere' }
  /** Its last proofs got no clear response. */
  | { readonly denied: 'held'; readonly retryMs: number | undefined };

/** Whether the proxy answers questions about us itself, as far as is known. */
export type QuestionSupport = 'can-ask' | 'cannot-ask';

/** The logins with one secret at one proxy: in this process, or in the primary for all workers. */
export interface LoginLimiter {
  /** It is not sent again. A secret that changes is another one. */
  readonly isRejected: boolean;
  /** Until a rejected one is tried once more by itself; `undefined`: when the user lifts the latch, as far as is known here. */
  readonly retryMs: number | undefined;
  /** Waits until a proof may be sent. Rejects with the signal's reason. */
  acquire(signal: StopSignal, questions: QuestionSupport): Promise<LoginAttempt | LoginDenial>;
}
