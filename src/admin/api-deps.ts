import type { Observe } from '../contracts/event.ts';
import type { AdminToken } from '../credentials/admin-token.ts';
import type { Clock } from '../util/clock.ts';
import type { ControlledProxy, ProxyOwner } from './controlled-proxy.ts';

/** Whether the proxy takes requests; `draining`: no more. */
export type ServingState = 'starting' | 'serving' | 'draining';

export interface ApiDeps {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly version: string;
  readonly token: AdminToken;
  readonly proxy: ControlledProxy;
  readonly owner?: ProxyOwner;
  /** `admin.modes`. */
  readonly allowsModes: boolean;
  state(): ServingState;
  /** No request is taken any more: `/readyz` is to say so. */
  drained(): void;
  /** A link that signs a browser in once. */
  link(): string | undefined;
  /** The token is another one: what was given for the one before ends. */
  onRotated(): void;
}
