import type { Authenticator } from '../core/contracts.ts';

/** Asks nobody who they are. */
export const anyone: Authenticator = {
  scheme: 'none',
  identify: () => ({ name: '', scheme: 'none' }),
};
