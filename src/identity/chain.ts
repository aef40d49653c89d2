import type { Authenticator } from '../core/contracts.ts';
import { anyone } from './none.ts';

/**
 * Several ways to say who one is: the first that recognises a request decides. Nobody recognised means one challenge
 * with what each of them asks for, strongest first as they are given (RFC 9110 §11.7.1). No ways: anyone may come.
 */
export function authenticatorChain(authenticators: readonly Authenticator[]): Authenticator {
  const [first, ...others] = authenticators;
  if (!first) return anyone;
  if (others.length === 0) return first;
  return {
    scheme: authenticators.map(({ scheme }) => scheme).join(', '),
    async identify(from) {
      const challenges: string[] = [];
      const reasons: string[] = [];
      for (const authenticator of authenticators) {
        const answer = await authenticator.identify(from);
        if (!('challenge' in answer)) return answer;
        challenges.push(answer.challenge);
        if (answer.reason !== undefined) reasons.push(answer.reason);
      }
      return { challenge: [...new Set(challenges)].join(', '), reason: [...new Set(reasons)].join('; ') };
    },
  };
}
