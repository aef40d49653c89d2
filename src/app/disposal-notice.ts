import type { Observe } from '../contracts/event.ts';

/** Reports a part that could not be closed: the operator learns of it, and the rest of the end goes on. */
export const noticeOfFailure =
  (observe: Observe) =>
  (name: string, error: unknown): void => {
    const why = error instanceof Error ? error.message : String(error);
    observe({ type: 'notice', level: 'error', message: `closing failed (${name}): ${why}` });
  };
