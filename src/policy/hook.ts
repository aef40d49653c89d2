import { contextOf, type RequestContext } from '../core/context.ts';
import type { Policy } from '../core/contracts.ts';
import type { Allow, Deny } from '../core/stages.ts';

/** A request with the two answers that may be given to it. */
export interface AuthorizeContext extends RequestContext {
  allow(): Allow;
  /** Answers 403. `reason` becomes the name of the rule, in logs and in the refusal. */
  deny(reason?: string): Deny;
}

/** May they go there? A throw, or anything but one of the two answers, refuses. */
export type AuthorizeHook = (context: AuthorizeContext) => Allow | Deny | Promise<Allow | Deny>;

const allow = (): Allow => ({ verdict: 'allow', rule: 'authorize hook' });
const deny = (reason = 'authorize hook'): Deny => ({ verdict: 'deny', rule: reason, code: 'denied' });

export const hookPolicy = (authorize: AuthorizeHook): Policy => ({
  async decide(from) {
    try {
      const answer = await authorize({ ...contextOf(from), allow, deny });
      return answer?.verdict === 'allow' || answer?.verdict === 'deny' ? answer : deny('authorize hook gave no answer');
    } catch (error) {
      // A hook that fails has not allowed anything.
      return deny(`authorize hook failed: ${error instanceof Error ? error.name : 'unknown error'}`);
    }
  },
});
