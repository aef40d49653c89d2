import { type Authenticator, requiresLogin } from '../contracts/identity.ts';
import { noAuthentication } from './none.ts';

/**
 * Several authenticators: the first that identifies the client of a request decides. When none does, the client gets the
 * challenges of all, in their order, strongest first (RFC 9110 §11.7.1). Without any, clients do not have to
 * authenticate.
 */
export function authenticatorChain(authenticators: readonly Authenticator[]): Authenticator {
  const [first, ...others] = authenticators;
  if (!first) return noAuthentication;
  if (others.length === 0) return first;
  return {
    scheme: authenticators.map(({ scheme }) => scheme).join(', '),
    requires: (client) =>
      authenticators.some((one) => requiresLogin(one, client) === 'optional') ? 'optional' : 'login',
    async identify(from) {
      const challenges: string[] = [];
      const reasons: string[] = [];
      let clientMessage: string | undefined;
      for (const authenticator of authenticators) {
        const result = await authenticator.identify(from);
        if (!('challenge' in result)) return result;
        challenges.push(result.challenge, ...(result.further ?? []));
        if (result.reason !== undefined) reasons.push(result.reason);
        clientMessage ??= result.clientMessage;
      }
      const [challenge = '', ...further] = new Set(challenges);
      return {
        challenge,
        ...(further.length === 0 ? {} : { further }),
        reason: [...new Set(reasons)].join('; '),
        ...(clientMessage !== undefined && { clientMessage }),
      };
    },
  };
}
