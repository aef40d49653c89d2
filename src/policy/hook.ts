import { askHook } from '../contracts/ask-hook.ts';
import { HookContext, type RequestContext } from '../contracts/context.ts';
import type { Policy } from '../contracts/policy.ts';
import type { Allow, Deny } from '../contracts/stages.ts';

/** A request with the two decisions that the hook may return. */
export interface AuthorizeContext extends RequestContext {
  allow(): Allow;
  /** The client gets 403. `reason` is the name of the rule, in logs and in the refusal. */
  deny(reason?: string): Deny;
}

/**
 * May the client go there? Any result but `allow()` or `deny()` denies the request. When it throws, the client gets 500
 * `hook_failed`; when it throws a `ProxyError`, the response to that.
 */
export type AuthorizeHook = (context: AuthorizeContext) => Allow | Deny | Promise<Allow | Deny>;

const allow = (): Allow => ({ verdict: 'allow', rule: 'authorize hook' });
const deny = (reason = 'authorize hook'): Deny => ({ verdict: 'deny', rule: reason, code: 'denied' });

class DecisionContext extends HookContext implements AuthorizeContext {
  get allow(): () => Allow {
    return allow;
  }

  get deny(): (reason?: string) => Deny {
    return deny;
  }
}

export const hookPolicy = (authorize: AuthorizeHook): Policy => ({
  decide: ({ request, principal }) =>
    askHook(
      'authorize',
      () => authorize(new DecisionContext(request, principal)),
      (answer) =>
        answer?.verdict === 'allow' || answer?.verdict === 'deny'
          ? answer
          : deny('authorize hook returned no decision'),
    ),
});
