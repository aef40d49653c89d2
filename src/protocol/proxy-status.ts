import { FAILURES, type FailureCode } from '../core/failure.ts';

/**
 * Our member of `Proxy-Status` (RFC 9209 §2): who answered and why. No `details` and no `next-hop`: both tell
 * strangers about the network behind us (RFC 9209 §4).
 */
export const proxyStatus = (name: string, code: FailureCode): string =>
  `${itemName(name)}; error=${FAILURES[code].token}`;

/** A structured-field token where the name is one, else a string (RFC 8941 §3.3). */
const itemName = (name: string): string =>
  /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/.test(name) ? name : `"${name.replaceAll(/[^\x20-\x7e]|["\\]/g, '_')}"`;
