import type { RelayEnd } from './contracts.ts';
import type { FailureCode } from './failure.ts';
import type { Authority, ClientInfo } from './request.ts';
import type { Route } from './stages.ts';

/** The steps of a request whose time is kept. */
export const STAGES = ['identify', 'admit', 'route', 'pac', 'dns', 'dial', 'tls', 'head', 'relay'] as const;
export type Stage = (typeof STAGES)[number];

/**
 * Everything we will ever say about one request: access log, metrics and dashboard all read this. What is not known is
 * `undefined`; every record has the same shape, since objects of many shapes are slow to make and to read.
 */
export interface ProxyRecord {
  readonly id: string;
  readonly kind: 'tunnel' | 'forward' | 'own' | 'malformed';
  readonly protocol: '1.0' | '1.1';
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly client: ClientInfo;
  /** Name of the authenticated user; absent when nobody had to say who they are. */
  readonly principal?: string | undefined;
  readonly method: string;
  /** `undefined` when the request never named a valid one. */
  readonly target?: Authority | undefined;
  /** Plain requests only, without the query: a query often holds secrets. */
  readonly url?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly rule?: string | undefined;
  /** Name of a rule that only reports, and would have refused this request. */
  readonly wouldDeny?: string | undefined;
  /** Name of a rule that only reports, and would have let this request pass. */
  readonly wouldAllow?: string | undefined;
  readonly limits: readonly string[];
  readonly route?: Route | undefined;
  /** The address that was dialled. */
  readonly address?: string | undefined;
  /** What the client was answered; 0 when it was answered nothing. */
  readonly status: number;
  readonly failure?: FailureCode | undefined;
  /** Why, for the log only; never sent to a client. */
  readonly detail?: string | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** How the tunnel ended. */
  readonly end?: RelayEnd | undefined;
  readonly stageMs: Readonly<Partial<Record<Stage, number>>>;
}
