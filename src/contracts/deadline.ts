import type { Clock } from '../util/clock.ts';
import { Stop, type StopSignal } from '../util/stop.ts';
import { type FailureCode, ProxyError } from './failure.ts';
import type { HookName } from './hook-failure.ts';

/** A signal that aborts with its own ProxyError, so that the code that waits need not know why it stopped. */
export interface Deadline extends Disposable {
  readonly signal: StopSignal;
}

/** What every wait needs: what ends it early, and the clock that it is measured by. */
export interface WaitScope {
  readonly signal: StopSignal;
  readonly clock: Clock;
}

/** Follows the signal, and aborts with `code` after `limitMs`. Dispose it when the wait is over, with or without success. */
export function deadline(
  { signal: parent, clock }: WaitScope,
  limitMs: number,
  code: FailureCode,
  waitingFor: string,
): Deadline {
  const own = new Stop();
  const follow = () => own.abort(parent.reason);
  const timer = clock.after(limitMs, () =>
    own.abort(new ProxyError(code, `${waitingFor}: nothing after ${limitMs} ms`)),
  );
  if (parent.aborted) follow();
  else parent.addEventListener('abort', follow);
  return {
    signal: own,
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
      parent.removeEventListener('abort', follow);
    },
  };
}

/** For what cannot be cancelled: it goes on, and the caller need not wait for it. Rejects with the signal's reason. */
export function unlessAborted<T>(promise: Promise<T>, signal: StopSignal): Promise<T> {
  if (signal.aborted) {
    // It may fail all the same, and a rejection that is never handled ends the process.
    promise.catch(() => undefined);
    return Promise.reject(signal.reason);
  }
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Longer than any decision takes: a name server, an htpasswd hash behind a hundred others. */
const DECISION_MS_MAX = 60_000;

/**
 * A decision about a request, which the hook `by` makes where a program has it. Rejects with the signal's reason, or with
 * `hook_failed` when that takes too long: a hook of a program may never answer, and its request would hold a place for as
 * long as its client waits.
 */
export async function awaitDecision<T>(decision: Promise<T>, { signal, clock }: WaitScope, by: HookName): Promise<T> {
  const late = Promise.withResolvers<never>();
  using _timer = clock.after(DECISION_MS_MAX, () =>
    late.reject(new ProxyError('hook_failed', `${by}: no decision after ${DECISION_MS_MAX} ms`)),
  );
  return await unlessAborted(Promise.race([decision, late.promise]), signal);
}
