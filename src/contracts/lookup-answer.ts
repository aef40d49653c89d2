import { isIP } from 'node:net';
import { quoted } from '../util/redact.ts';
import { ProxyError } from './failure.ts';

/** One address, or several in the order of trying, each as text or as `dns.lookup` gives them. */
export type LookupHookResult = LookupAddress | readonly LookupAddress[];
export type LookupAddress = string | { readonly address: string };

/** A program may be written in JavaScript, so the type of its answer is checked. Throws `hook_failed`. */
export function addressesIn(answer: unknown): readonly string[] {
  return (Array.isArray(answer) ? answer : [answer]).map((one: unknown) => {
    const address = addressIn(one);
    if (typeof address === 'string' && isIP(address) !== 0) return address;
    const shown = typeof address === 'string' ? quoted(address) : `a value of type ${typeof address}`;
    throw new ProxyError('hook_failed', `lookup hook: returned ${shown}, which is not a valid IP address`);
  });
}

export const addressIn = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'address' in value ? value.address : value;
