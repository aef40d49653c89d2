import type { Observe } from '../contracts/event.ts';

/** A line for everything that was done through the API: what, and from where. */
export function audit(observe: Observe, what: string, from: string): void {
  observe({ type: 'notice', level: 'info', message: `admin: ${what}, from ${from}` });
}
