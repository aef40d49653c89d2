import type { ProxyError } from './failure.ts';
import type { IdentifiedRequest, Permit } from './stages.ts';

/** How much a request may use: a permit, or a ProxyError `at_capacity`, `rate_limited`, `quota_exceeded` or `too_many_tunnels`. */
export interface Limiter {
  /**
   * The relay ends a tunnel when a gate of its permit grants no more, so that one that moves no bytes goes on.
   * A limit that must end such a one too, for example after a time, calls `request.stop` while the permit is held. `request`
   * is absent where there is nothing to end, as when a limit is tried.
   */
  acquire(from: IdentifiedRequest, request?: Stoppable): Permit | Promise<Permit>;
  /** Names of the limits that the request would meet; nothing is counted. */
  namesFor(from: IdentifiedRequest): readonly string[];
}

/** A request that has begun. */
export interface Stoppable {
  /**
   * Ends the request in whichever step it is: a client that has no response yet gets the refusal of that failure, and any
   * other loses its connection. The code and the detail of `why` are in its record; a limit that needs a code of its own adds
   * a row to contracts/failure.ts. Never throws; after the end of the request it changes nothing.
   */
  stop(why: ProxyError): void;
}
