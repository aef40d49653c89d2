import type { LoginTerms } from '../contracts/login-terms.ts';
import type { Hop } from '../contracts/stages.ts';
import { hostKey } from '../protocol/addresses/authority.ts';
import { parseIp } from '../protocol/addresses/ip-address.ts';

/** Whether Basic goes with the first request; `on-trial`: until a proxy has closed the connection at it. */
export const whenBasicIsSent = ({ preemptive }: LoginTerms, hop: Hop): 'at-once' | 'on-trial' | 'when-asked' => {
  if (preemptive === undefined) return defaultFor(hop);
  return preemptive ? 'at-once' : 'when-asked';
};

/**
 * A login in a URL was written for that proxy. On plain `http:` to another machine it would be sent in the clear to one that
 * may want Digest; and Basic that was not requested is on trial, since an NTLM proxy may close the connection at it.
 */
const defaultFor = (hop: Hop): 'on-trial' | 'when-asked' =>
  hop.login !== undefined && (hop.scheme === 'https' || isOnThisMachine(hop)) ? 'on-trial' : 'when-asked';

/** Only what is certain without a resolver: a name that leads here today may lead elsewhere tomorrow (RFC 6761 §6.3). */
function isOnThisMachine({ proxy, reached }: Hop): boolean {
  if (reached === 'through-proxy') return false;
  const host = hostKey(proxy.host);
  const address = parseIp(host);
  return host === 'localhost' || host === '::1' || (address?.family === 4 && address.octets[0] === 127);
}

/** Without the settings that are absent, so that they override nothing. Named schemes wait for a 407 by default. */
export function definedTerms(terms: LoginTerms | undefined): LoginTerms {
  if (terms === undefined) return {};
  const { schemes, preemptive, latch } = terms;
  return {
    ...(schemes !== undefined && { schemes, preemptive: false }),
    ...(preemptive !== undefined && { preemptive }),
    ...(latch !== undefined && { latch }),
  };
}
