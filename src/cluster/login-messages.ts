import type {
  Doubt,
  LoginAttemptTerms,
  LoginDenial,
  LoginKey,
  QuestionSupport,
} from '../upstream-auth/login-attempt.ts';

/** What a worker sends to the primary about its logins at upstream proxies; `turnId` numbers its turns. */
export type LoginRequest =
  | { readonly type: 'turn'; readonly turnId: number; readonly key: LoginKey; readonly askable: QuestionSupport }
  /** The turn goes on; the response to its credentials was not clear. */
  | { readonly type: 'doubt'; readonly turnId: number; readonly doubt: Doubt }
  /** How the turn ended; `over`: no credentials were sent, or the client has gone. */
  | { readonly type: 'end'; readonly turnId: number; readonly how: 'accepted' | 'rejected' | 'over' }
  /** A secret that had been accepted before was rejected; `distrust`: the response to it was not clear. */
  | { readonly type: 'reject'; readonly key: LoginKey }
  | { readonly type: 'distrust'; readonly key: LoginKey };

export type LoginResponse =
  | { readonly type: 'turn'; readonly turnId: number; readonly turn: LoginAttemptTerms | LoginDenial }
  /** From now on a worker sends this secret to this proxy only in a turn that the primary has granted. */
  | { readonly type: 'distrusted'; readonly key: LoginKey };
