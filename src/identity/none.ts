import type { Authenticator } from '../contracts/identity.ts';
import type { Principal } from '../contracts/stages.ts';

/** One for all: every open tunnel keeps its own. */
const ANYONE: Principal = Object.freeze({ name: '', scheme: 'none' });

/** Of a proxy whose clients do not have to authenticate. */
export const noAuthentication: Authenticator = {
  scheme: 'none',
  identify: () => ANYONE,
};
