import type { DialScope } from '../../src/contracts/dialing.ts';
import type { ProxyEvent } from '../../src/contracts/event.ts';
import type { AddressGuard } from '../../src/contracts/policy.ts';
import { systemClock } from '../../src/util/clock.ts';

const allow = () => ({ verdict: 'allow', rule: 'test' }) as const;
export const ALLOW_ALL: AddressGuard = { check: allow, checkConfigured: allow };

/** The scope of one dial; `heads` are those that the dialer tapped. */
export function dialScope(more: Partial<DialScope> = {}): DialScope & { readonly heads: string[] } {
  const heads: string[] = [];
  const tap = (event: ProxyEvent) => {
    if (event.type === 'head') heads.push(`${event.sent} ${event.head}`);
  };
  const signal = new AbortController().signal;
  return {
    id: 'test',
    client: '127.0.0.1',
    signal,
    clock: systemClock,
    guard: ALLOW_ALL,
    observe: () => undefined,
    tap,
    ...more,
    heads,
  };
}
