import * as z from 'zod';
import { redact } from '../util/redact.ts';
import { parseDuration } from './units.ts';

/** Only the `options.ts` of modules import this: zod is loaded where configuration is read, and nowhere else. */

/** Longest wait that a timer can hold: 2^31 − 1 ms, 24.8 days. A longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A time span such as `30s`, `5m` or `1h30m`, in milliseconds; a bare number counts seconds. */
export function duration(shortest: 'may-be-0' | 'above-0'): z.ZodType<number, string | number> {
  return z.union([z.string(), z.number()]).transform((written, context) => {
    try {
      const ms = parseDuration(written);
      if (shortest === 'above-0' && ms < 1)
        throw new Error('0 would give up before anything can happen; write for example 30s');
      if (ms <= TIMER_MS_MAX) return ms;
      context.addIssue({
        code: 'custom',
        message: `${redact(String(written))} is longer than any wait here; write at most 24d`,
      });
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    }
    return z.NEVER;
  });
}
