import { type HookName, hookFailure } from './hook-failure.ts';

/**
 * Asks a hook of a program and concludes from its answer. At once where the hook answers at once: a promise would cost every
 * request a turn. What the hook or the conclusion throws is the failure of the request.
 */
export function askHook<Answer, Result>(
  hook: HookName,
  ask: () => Answer | PromiseLike<Answer>,
  conclude: (answer: Answer) => Result,
  secret?: string,
): Result | Promise<Result> {
  const fail = (thrown: unknown): never => {
    throw hookFailure(hook, thrown, secret);
  };
  try {
    const answer = ask();
    if (isThenable(answer)) return Promise.resolve(answer).then(conclude).catch(fail);
    return conclude(answer);
  } catch (thrown) {
    return fail(thrown);
  }
}

/** By shape: a promise of another realm, as in a test runner, is no `instanceof` ours. */
function isThenable<T>(answer: T | PromiseLike<T>): answer is PromiseLike<T> {
  return typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function';
}
