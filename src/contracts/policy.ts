import type { Allow, Decision, Deny, IdentifiedRequest } from './stages.ts';

/** Access policy, evaluated on the requested name before DNS. */
export interface Policy {
  decide(from: IdentifiedRequest): Decision | Promise<Decision>;
}

/** Which addresses may be dialled: evaluated on every resolved address, right before dialling exactly it. */
export interface AddressGuard {
  check(address: string, port: number): Allow | Deny;
  /** An upstream proxy that the user configured may have any address but ours. */
  checkConfigured(address: string, port: number): Allow | Deny;
}
