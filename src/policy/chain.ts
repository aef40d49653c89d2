import type { Policy } from '../contracts/policy.ts';
import type { Decision, IdentifiedRequest } from '../contracts/stages.ts';

/**
 * Several policies as one: they are evaluated in order, and the first that denies the request decides. An allowed request
 * has the rule of the last. At least one policy, since without any there is no rule to name.
 */
export function policyChain(policies: readonly [Policy, ...Policy[]]): Policy {
  const [first, ...others] = policies;
  if (others.length === 0) return first;
  return {
    async decide(from: IdentifiedRequest): Promise<Decision> {
      let decision = await first.decide(from);
      for (const policy of others) {
        if (decision.verdict === 'deny') return decision;
        const next = await policy.decide(from);
        // The first policy that would have denied it stays in the record, although a later one decides.
        decision = decision.wouldDeny === undefined ? next : { ...next, wouldDeny: decision.wouldDeny };
      }
      return decision;
    },
  };
}
