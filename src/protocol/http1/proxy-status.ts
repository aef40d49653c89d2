import { FAILURES, type FailureCode } from '../../contracts/failure.ts';
import type { Headers } from '../../contracts/request.ts';
import { valuesOf } from './header-list.ts';
import { trimOws } from './ows.ts';

/**
 * This proxy's member of `Proxy-Status` (RFC 9209 §2): its name and the error. Without `details` and `next-hop`, which
 * would disclose the network behind the proxy (RFC 9209 §4).
 */
export const proxyStatus = (name: string, code: FailureCode): string =>
  `${itemName(name)}; error=${FAILURES[code].token}`;

/** A structured-field token where the name is one, else a string (RFC 8941 §3.3). */
const itemName = (name: string): string =>
  /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/.test(name) ? name : `"${name.replaceAll(/[^\x20-\x7e]|["\\]/g, '_')}"`;

/** Proxies on one path; a longer list is ignored. */
const MEMBERS_MAX = 8;
/** A proxy, named by a token or a string, and its `error` among the parameters. */
const MEMBER = /^(?:[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*|"[^"]*")\s*;(?:.*;)?\s*error=([a-z_]{1,64})\s*(?:;|$)/;

/** The error types in the `Proxy-Status` of a response, that of the proxy nearest to the origin first (RFC 9209 §2). */
export function errorsIn(headers: Headers): readonly string[] {
  const members = valuesOf(headers, 'proxy-status').flatMap((value) => value.split(','));
  if (members.length > MEMBERS_MAX) return [];
  return members.flatMap((member) => MEMBER.exec(trimOws(member))?.[1] ?? []);
}
