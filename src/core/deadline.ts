import { type FailureCode, ProxyError } from './failure.ts';

/** A signal that aborts with its own ProxyError, so that the code that waits need not know why it stopped. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
}

/** Follows `parent`, and aborts with `code` after `limitMs`. Dispose it when the wait is over, whichever way. */
export function deadline(parent: AbortSignal, limitMs: number, code: FailureCode, waitingFor: string): Deadline {
  const own = new AbortController();
  const follow = () => own.abort(parent.reason);
  const timer = setTimeout(
    () => own.abort(new ProxyError(code, `${waitingFor}: nothing after ${limitMs} ms`)),
    limitMs,
  );
  // AbortSignal.any() keeps a weak reference per dependent and costs 10 µs a call; one listener costs neither.
  if (parent.aborted) follow();
  else parent.addEventListener('abort', follow);
  return {
    signal: own.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      parent.removeEventListener('abort', follow);
    },
  };
}

/** For what cannot be cancelled: it goes on, and nobody has to wait for it. Rejects with the signal's reason. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
