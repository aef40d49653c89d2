import type { AuthSchemeName, Credential, UpstreamAccount } from '../../core/contracts.ts';

/**
 * How a proxy can be told who we are. NTLM is spoken in three forms: as itself, and under the name of Negotiate, in
 * SPNEGO as Windows does it or without as some proxies want it.
 */
export type Way = 'kerberos' | 'ntlm' | 'ntlm-in-spnego' | 'ntlm-under-negotiate' | 'digest' | 'basic';

/** What stands in the field. */
export const SCHEME_OF: Readonly<Record<Way, AuthSchemeName>> = {
  kerberos: 'negotiate',
  ntlm: 'ntlm',
  'ntlm-in-spnego': 'negotiate',
  'ntlm-under-negotiate': 'negotiate',
  digest: 'digest',
  basic: 'basic',
};

/** As they are written in the field: nobody should look at the case (RFC 9110 §11.1), and some do. */
export const SCHEME_WORD: Readonly<Record<AuthSchemeName, string>> = {
  negotiate: 'Negotiate',
  ntlm: 'NTLM',
  digest: 'Digest',
  basic: 'Basic',
};

/** It is the connection that is logged on, and not the request. */
export const bindsConnection = (way: Way): boolean => SCHEME_OF[way] === 'negotiate' || SCHEME_OF[way] === 'ntlm';

export type KnownAccount = Extract<UpstreamAccount, { at: 'known' }>;

const NTLM_FORMS = ['ntlm', 'ntlm-in-spnego', 'ntlm-under-negotiate'] as const;

/** Ways that the account has, in its order. Whoever wants Negotiate alone gets NTLM in it where there is no ticket. */
export function waysOf({ schemes, credential }: KnownAccount): readonly Way[] {
  const inNegotiate: readonly Way[] =
    credential === undefined || schemes.includes('ntlm') ? [] : NTLM_FORMS.filter((form) => form !== 'ntlm');
  const ways: Readonly<Record<AuthSchemeName, readonly Way[]>> = {
    negotiate: ['kerberos', ...inNegotiate],
    ntlm: NTLM_FORMS,
    digest: ['digest'],
    basic: ['basic'],
  };
  return schemes.flatMap((scheme) => ways[scheme]);
}

/** Whose secret a way proves. `undefined`: a ticket's, which no proxy counts as a wrong password. */
export function credentialFor(way: Way, account: KnownAccount): Credential | undefined {
  if (way === 'kerberos') return undefined;
  return way === 'basic' ? (account.basic ?? account.credential) : account.credential;
}
