import type { Authenticator } from '../contracts/identity.ts';

/** Of a proxy whose clients do not have to authenticate. */
export const noAuthentication: Authenticator = {
  scheme: 'none',
  identify: () => ({ name: '', scheme: 'none' }),
};
