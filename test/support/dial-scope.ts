import type { AddressGuard, DialScope } from '../../src/core/contracts.ts';
import type { ProxyEvent } from '../../src/core/event.ts';

const allow = () => ({ verdict: 'allow', rule: 'test' }) as const;
export const ALLOW_ALL: AddressGuard = { check: allow, checkConfigured: allow };

/** What a dialer is told, and what it tells; `heads` are those that it tapped. */
export function dialScope(more: Partial<DialScope> = {}): DialScope & { readonly heads: string[] } {
  const heads: string[] = [];
  const tap = (event: ProxyEvent) => {
    if (event.type === 'wire') heads.push(`${event.sent} ${event.head}`);
  };
  const signal = new AbortController().signal;
  return { id: 'test', signal, guard: ALLOW_ALL, observe: () => undefined, tap, ...more, heads };
}
