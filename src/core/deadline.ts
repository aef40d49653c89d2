import type { Clock } from './clock.ts';
import { type FailureCode, ProxyError } from './failure.ts';
import { Stop, type StopSignal } from './stop.ts';

/** A signal that aborts with its own ProxyError, so that the code that waits need not know why it stopped. */
export interface Deadline extends Disposable {
  readonly signal: StopSignal;
}

/** Follows `parent`, and aborts with `code` after `limitMs`. Dispose it when the wait is over, whichever way. */
export function deadline(parent: StopSignal, limitMs: number, code: FailureCode, waitingFor: string): Deadline {
  const own = new Stop();
  const follow = () => own.abort(parent.reason);
  const timer = setTimeout(
    () => own.abort(new ProxyError(code, `${waitingFor}: nothing after ${limitMs} ms`)),
    limitMs,
  );
  if (parent.aborted) follow();
  else parent.addEventListener('abort', follow);
  return {
    signal: own,
    [Symbol.dispose]() {
      clearTimeout(timer);
      parent.removeEventListener('abort', follow);
    },
  };
}

/** For what cannot be cancelled: it goes on, and nobody has to wait for it. Rejects with the signal's reason. */
export function unlessAborted<T>(promise: Promise<T>, signal: StopSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Longer than any decision takes that somebody waits for: a name server, an htpasswd hash behind a hundred others. */
const DECISION_MS_MAX = 60_000;

/**
 * What whoever decides about a request answers. Rejects with the signal's reason, or with `hook_failed` when that takes
 * too long: a hook of a program may never answer, and its request would hold a place for as long as its client waits.
 */
export async function decided<T>(answer: Promise<T>, signal: StopSignal, clock: Clock): Promise<T> {
  const late = Promise.withResolvers<never>();
  using _timer = clock.after(DECISION_MS_MAX, () =>
    late.reject(new ProxyError('hook_failed', `no decision after ${DECISION_MS_MAX} ms`)),
  );
  return await unlessAborted(Promise.race([answer, late.promise]), signal);
}
