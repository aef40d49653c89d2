import type { Hop } from '../core/stages.ts';
import { noProxyMatcher } from '../protocol/no-proxy.ts';
import { formatHop } from '../protocol/proxy-url.ts';

export interface TrustOptions {
  /** `credentials.allow` and `--credentials-for`. */
  readonly allow: readonly string[];
  /** `ALPACA_PROXY_AUTH_ALLOWLIST`; `undefined`: not set. */
  readonly alpaca: readonly string[] | undefined;
}

/**
 * Who may be told who we are. A proxy that the user named may, and one that a PAC names which nobody on the way could
 * change; one that another PAC names must be listed. Lists add, as the contract has it: `allow` takes nothing away.
 * Alpaca's variable also does what it does there: where it is set, a PAC's proxies outside of it get nothing.
 * The answer is `undefined`, or the sentence that says what is missing. Kerberos tickets count as credentials: whoever
 * gets one learns who we are.
 */
export function trustRule({ allow, alpaca }: TrustOptions): (hop: Hop) => string | undefined {
  const listed = noProxyMatcher([...allow, ...(alpaca ?? [])]);
  return (hop) => {
    if (hop.namedBy === 'user' || listed(hop.proxy) !== undefined) return undefined;
    if (hop.namedBy === 'pac' && alpaca === undefined) return undefined;
    const why =
      hop.namedBy === 'pac'
        ? 'ALPACA_PROXY_AUTH_ALLOWLIST does not list it'
        : 'it is named by a PAC that came over plain http: or by WPAD, which anyone on the network could have written';
    return `${formatHop(hop)} wants to know who we are and is not told: ${why}. If it is yours, start viaduct with --credentials-for ${hop.proxy.host}`;
  };
}
