import type { Policy } from '../core/contracts.ts';
import type { Decision, Identified } from '../core/stages.ts';

/**
 * Several policies as one: a request must pass all of them, asked in order, and the first that denies it decides.
 * What passes carries the rule of the last. At least one policy, since without any there is no rule to name.
 */
export function policyChain(policies: readonly [Policy, ...Policy[]]): Policy {
  const [first, ...others] = policies;
  if (others.length === 0) return first;
  return {
    async decide(from: Identified): Promise<Decision> {
      let decision = await first.decide(from);
      for (const policy of others) {
        if (decision.verdict === 'deny') return decision;
        const next = await policy.decide(from);
        // Whoever reported first is not forgotten because somebody else decided.
        decision = decision.wouldDeny === undefined ? next : { ...next, wouldDeny: decision.wouldDeny };
      }
      return decision;
    },
  };
}
