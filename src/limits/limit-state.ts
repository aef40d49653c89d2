import type { BandwidthOptions, QuotaOptions, RequestOptions } from './options.ts';

/** A bandwidth limit, and what goes on under it. */
export interface BandwidthState {
  readonly kind: 'bandwidth';
  readonly name: string;
  readonly per: BandwidthOptions['per'];
  readonly direction: BandwidthOptions['direction'];
  readonly priority: BandwidthOptions['priority'];
  /** Bytes per second; `undefined` where only the priority is set. */
  readonly rate: number | undefined;
  /** Open requests that it applies to, and directions of them that wait for it now. */
  readonly users: number;
  readonly waiting: number;
  /** Bytes that have passed under it. */
  readonly bytes: number;
}

/** One of the limits of `limits.tunnels`. */
export interface TunnelState {
  readonly kind: 'tunnels';
  readonly name: string;
  readonly per: 'proxy' | 'client' | 'user';
  readonly max: number;
  /** Open tunnels, and requests that wait until one closes. */
  readonly open: number;
  readonly waiting: number;
  readonly refused: number;
}

export interface RequestState {
  readonly kind: 'requests';
  readonly name: string;
  readonly per: RequestOptions['per'];
  /** Requests a second, and at once. */
  readonly rate: number;
  readonly burst: number;
  /** How many budgets are in use: one for each client, user or host that has sent a request lately. */
  readonly users: number;
  readonly refused: number;
}

export interface QuotaState {
  readonly kind: 'quota';
  readonly name: string;
  readonly per: QuotaOptions['per'];
  readonly max: bigint;
  readonly everyMs: number;
  readonly refused: number;
  /** What each client, user or host has used in its period, most first; at most the first hundred. */
  readonly users: readonly { readonly key: string; readonly used: bigint; readonly resetsAt: Date }[];
}

/** A limit, and what is counted under it. */
export type LimitState = BandwidthState | TunnelState | RequestState | QuotaState;

/** The store that instances share their limits through. */
export interface StoreState {
  readonly isUp: boolean;
  /** Instances that share the limits, as far as is known; this one is one of them. */
  readonly instances: number;
  /** Scripts that were called, and those that failed. */
  readonly calls: number;
  readonly errors: number;
  /** Milliseconds that a call takes, a moving average. */
  readonly callMs: number;
  /** What went wrong last, in words without secrets; `undefined` while it is up. */
  readonly problem: string | undefined;
}
