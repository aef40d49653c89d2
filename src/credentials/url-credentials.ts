import { AUTH_SCHEMES } from '../contracts/login-terms.ts';
import type { Login } from '../contracts/stages.ts';
import type { CredentialStore } from '../contracts/upstream-account.ts';
import { accountOf } from './account.ts';
import { definedTerms, whenBasicIsSent } from './basic-sending.ts';
import { credentialMaker, type FoundSecret } from './credential.ts';

/** The login in the URL of a proxy: `http://user:password@proxy.example:3128`. */
export const secretInUrl = ({ user, password }: Login): FoundSecret => ({
  account: accountOf({ user }, user),
  secret: { kind: 'password', password },
  source: 'URL of the proxy',
  loginMs: 0,
});

/** The accounts of a program that names each proxy by its URL, and so trusts it: nothing else says who it is there. */
export function urlCredentials(): CredentialStore {
  const make = credentialMaker();
  return {
    accountAt(hop) {
      const { login, auth } = hop;
      if (login === undefined) return Promise.resolve({ at: 'known', schemes: ['negotiate'], credential: undefined });
      const { schemes = AUTH_SCHEMES, latch } = auth ?? {};
      return Promise.resolve({
        at: 'known',
        schemes,
        credential: make(secretInUrl(login)),
        sendsBasic: whenBasicIsSent(definedTerms(auth), hop),
        ...(latch === false && { afterRejection: 'tried-again' as const }),
      });
    },
  };
}
