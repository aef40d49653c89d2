import type { ProxyError } from '../contracts/failure.ts';
import type { AuthScheme } from './auth-scheme.ts';
import type { Proof } from './proof.ts';

/**
 * What the connection is after its last response. `authenticated`: the proxy has logged it on, and all that goes over it
 * belongs to our account. `anonymous`: it says nothing about us. `tainted`: a login was started on it and not completed, so that no
 * other request may use it.
 */
export type ConnectionAuthState = 'authenticated' | 'anonymous' | 'tainted';

/** A scheme in use, and the permission of the login limiter to send its proof. */
export interface Login {
  readonly scheme: AuthScheme;
  readonly proof: Proof;
  /** `unrequested`: Basic that goes out before this proxy has asked for it, or has ever let us in by it. */
  readonly origin: 'requested' | 'unrequested';
}

/**
 * How far a session is. Each state owns what exists in it: there is no scheme without a permission, and none at all
 * where nothing is sent.
 *
 *     unstarted ── begin ──► anonymous ◄─── released or ruled out ─── proving
 *                      │         │                                    ▲    │
 *                      │         └──── 407: the next mechanism ───────┘    │ passed, and the mechanism binds connections
 *                      └── what the proxy is known to want ──► proving     ▼
 *     tainted ◄── ruled out in the middle of a login ── proving       authenticated ── 407 ──► proving
 *     exhausted ◄── no mechanism is left ── any state
 */
export type AuthState =
  /** Nothing was sent, and what the proxy is known to want has not been looked up. */
  | { readonly at: 'unstarted' }
  /** Messages say nothing about us. */
  | { readonly at: 'anonymous' }
  /** Each message carries a proof, or a step towards one. */
  | { readonly at: 'proving'; readonly login: Login; readonly connection: 'anonymous' | 'tainted' }
  /** Messages say nothing: the connection does. `login`: by which it was logged on; absent: by an earlier session. */
  | { readonly at: 'authenticated'; readonly login: Login | undefined }
  /** A login was started on the connection, and nothing is sent over it any more. */
  | { readonly at: 'tainted' }
  /** No mechanism is left: the request fails with this. */
  | { readonly at: 'exhausted'; readonly failure: ProxyError };

export const UNSTARTED: AuthState = { at: 'unstarted' };
export const ANONYMOUS: AuthState = { at: 'anonymous' };
const TAINTED: AuthState = { at: 'tainted' };

export const loginIn = (state: AuthState): Login | undefined =>
  state.at === 'proving' || state.at === 'authenticated' ? state.login : undefined;

export function connectionStateIn(state: AuthState): ConnectionAuthState {
  if (state.at === 'proving') return state.connection;
  return state.at === 'authenticated' || state.at === 'tainted' ? state.at : 'anonymous';
}

/** The state without its login; the connection stays what it is. */
export function withoutLogin(state: AuthState): AuthState {
  switch (state.at) {
    case 'proving':
      return state.connection === 'tainted' ? TAINTED : ANONYMOUS;
    case 'authenticated':
      return { at: 'authenticated', login: undefined };
    default:
      return state;
  }
}
