import type { AuthSchemeName } from '../contracts/login-terms.ts';
import type { Credential, UpstreamAccount } from '../contracts/upstream-account.ts';

/**
 * How we authenticate to a proxy. On Windows the system itself can log in (SSPI), under the name of either scheme. NTLM has three forms: by its own name, and under the name of Negotiate, in SPNEGO as
 * Windows does it or without as some proxies want it.
 */
export type AuthMechanism =
  | 'sspi-negotiate'
  | 'sspi-ntlm'
  | 'kerberos'
  | 'ntlm'
  | 'ntlm-in-spnego'
  | 'ntlm-under-negotiate'
  | 'digest'
  | 'basic';

/** The scheme by whose name a mechanism goes in `Proxy-Authenticate` and `Proxy-Authorization`. */
export const SCHEME_OF: Readonly<Record<AuthMechanism, AuthSchemeName>> = {
  'sspi-negotiate': 'negotiate',
  'sspi-ntlm': 'ntlm',
  kerberos: 'negotiate',
  ntlm: 'ntlm',
  'ntlm-in-spnego': 'negotiate',
  'ntlm-under-negotiate': 'negotiate',
  digest: 'digest',
  basic: 'basic',
};

/** As they are written in the field: no proxy should look at the case (RFC 9110 §11.1), and some do. */
export const SCHEME_TOKEN: Readonly<Record<AuthSchemeName, string>> = {
  negotiate: 'Negotiate',
  ntlm: 'NTLM',
  digest: 'Digest',
  basic: 'Basic',
};

/** Whether a login is made on a connection, and holds for that, instead of for one request. */
export const bindsConnection = (mechanism: AuthMechanism): boolean =>
  SCHEME_OF[mechanism] === 'negotiate' || SCHEME_OF[mechanism] === 'ntlm';

export type KnownAccount = Extract<UpstreamAccount, { at: 'known' }>;

const NTLM_FORMS = ['ntlm', 'ntlm-in-spnego', 'ntlm-under-negotiate'] as const;

/** Whose login it is where Windows makes it: an account whose password is known, else the user who is logged in. */
export const isSspi = (mechanism: AuthMechanism): mechanism is 'sspi-negotiate' | 'sspi-ntlm' =>
  mechanism === 'sspi-negotiate' || mechanism === 'sspi-ntlm';

/** What the system can do by itself: `none` where it is no Windows. */
export type SystemLogin = 'sspi' | 'none';

/**
 * The mechanisms that the account has, in its order. Negotiate alone means NTLM in it too, where there is no ticket. Windows
 * comes first. By NTLM it proves only who is logged in: an account is ours to prove, also by a hash.
 */
export function mechanismsOf({ schemes, credential }: KnownAccount, system: SystemLogin): readonly AuthMechanism[] {
  const inNegotiate: readonly AuthMechanism[] =
    credential === undefined || schemes.includes('ntlm') ? [] : NTLM_FORMS.filter((form) => form !== 'ntlm');
  const bySystem = system === 'sspi' && (credential === undefined || credential.secret.kind === 'password');
  const mechanisms: Readonly<Record<AuthSchemeName, readonly AuthMechanism[]>> = {
    negotiate: [...(bySystem ? (['sspi-negotiate'] as const) : []), 'kerberos', ...inNegotiate],
    ntlm: bySystem && credential === undefined ? ['sspi-ntlm'] : NTLM_FORMS,
    digest: ['digest'],
    basic: ['basic'],
  };
  return schemes.flatMap((scheme) => mechanisms[scheme]);
}

/** The credential that a mechanism proves. `undefined`: a ticket or a login of Windows, which no proxy counts as a wrong password. */
export function credentialFor(mechanism: AuthMechanism, account: KnownAccount): Credential | undefined {
  if (mechanism === 'kerberos') return undefined;
  return mechanism === 'basic' ? (account.basic ?? account.credential) : account.credential;
}
