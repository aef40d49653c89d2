import type { AddressGuard } from '../contracts/policy.ts';
import type { Authority } from '../contracts/request.ts';
import type { Deny, Route } from '../contracts/stages.ts';
import { literalAddresses } from '../protocol/addresses/literal-host.ts';

/** An address that the guard denies, and why. */
export interface DeniedTarget {
  readonly address: string;
  readonly decision: Deny;
}

/**
 * What the guard says of a target that an upstream proxy would reach: a literal address, or a name that means loopback
 * everywhere. No name is resolved for this; what it means is for the upstream proxy to find out. All addresses have to be
 * allowed, since nothing here decides which of them the upstream proxy goes to. A direct dial judges its own addresses.
 */
export function deniedTarget(
  { host, port }: Authority,
  routes: readonly Route[],
  guard: AddressGuard,
): DeniedTarget | undefined {
  if (routes.every(({ via }) => via === 'direct')) return undefined;
  for (const address of literalAddresses(host)) {
    const decision = guard.check(address, port);
    if (decision.verdict === 'deny') return { address, decision };
  }
  return undefined;
}
