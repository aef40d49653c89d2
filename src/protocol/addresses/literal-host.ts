import { parseIpWithZone } from './ip-address.ts';

const NONE: readonly string[] = [];
/** A resolver resolves `localhost` and every name below it to these, without a server (RFC 6761 §6.3). */
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1'];
const IS_LOCALHOST = /(?:^|\.)localhost\.?$/;
/** Windows reads `fe80--1s4.ipv6-literal.net` as `fe80::1%4`, also without a server. */
const WINDOWS_LITERAL = /^([^.]+)\.ipv6-literal\.net\.?$/;
const MAY_BE_LITERAL = /:|\d$|localhost\.?$|literal\.net\.?$/;

/**
 * The addresses of a host that every resolver knows without a server; none for a name that has to be looked up. `host`: as
 * parseHost returns it, which refuses texts that only some resolvers read as an address (`127.1`, `0x7f.1`).
 */
export function literalAddresses(host: string): readonly string[] {
  if (!MAY_BE_LITERAL.test(host)) return NONE;
  if (parseIpWithZone(host) !== undefined) return [host];
  if (IS_LOCALHOST.test(host)) return LOOPBACK;
  const literal = WINDOWS_LITERAL.exec(host)?.[1]?.replaceAll('-', ':').replace(/s.*$/, '');
  return literal !== undefined && parseIpWithZone(literal) !== undefined ? [literal] : NONE;
}
