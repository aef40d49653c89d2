import type { Hop } from '../contracts/stages.ts';
import { noProxyMatcher } from '../protocol/matching/no-proxy.ts';
import { formatHop } from '../protocol/routes/proxy-url.ts';

export interface TrustOptions {
  /** `credentials.allow` and `--credentials-for`. */
  readonly allow: readonly string[];
  /** `ALPACA_PROXY_AUTH_ALLOWLIST`; `undefined`: not set. */
  readonly alpaca: readonly string[] | undefined;
}

/**
 * Which upstream proxies may get credentials. A proxy that the user named may, and one that is named by a PAC which no
 * attacker on the path could change; one that another PAC names must be listed. `allow` only adds proxies. Alpaca's
 * variable also does what it does there: where it is set, a PAC's proxies outside of it get nothing. Returns `undefined`,
 * or a sentence with what is missing. Kerberos tickets count as credentials: a proxy that gets one learns the user's name.
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
    return `${formatHop(hop)} gets no credentials: ${why}. If it is yours, start viaduct with --credentials-for ${hop.proxy.host}`;
  };
}
