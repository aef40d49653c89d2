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
