import type { TunnelRequest } from './request.ts';
import type { Allow, Principal, Route, RouteSource } from './stages.ts';

/** All that was decided about a CONNECT, where that depends on the request and the configuration alone. */
export interface DecidedTunnel {
  readonly request: TunnelRequest;
  readonly principal: Principal;
  readonly decision: Allow;
  readonly routes: readonly Route[];
  readonly by: RouteSource;
  readonly route: Route;
  /** The address that was dialled. */
  readonly address: string;
}
