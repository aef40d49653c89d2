import type { FailureCode } from './failure.ts';
import type { RelayEnd } from './relay.ts';
import type { Authority, ClientInfo, RequestProtocol, RequestState } from './request.ts';
import type { Route } from './stages.ts';

/**
 * The steps of a request whose time is kept: `connect` until a tunnel can open, `wait` until the head of a response to a
 * plain request is there (HAR's words), `relay` while bytes pass.
 */
export const TIMED_STEPS = ['identify', 'admit', 'route', 'connect', 'wait', 'relay'] as const;
export type TimedStep = (typeof TIMED_STEPS)[number];

/**
 * Everything that is kept of one request: access log, metrics and dashboard all read this. What is not known is
 * `undefined`; every record has the same shape, since objects of many shapes are slow to make and to read.
 */
export interface ProxyRecord {
  readonly id: string;
  readonly kind: 'tunnel' | 'forward' | 'local' | 'malformed';
  readonly protocol: RequestProtocol;
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly client: ClientInfo;
  /** Name of the authenticated user; absent where clients need no account. */
  readonly principal?: string | undefined;
  readonly method: string;
  /** `undefined` when the request never named a valid one. */
  readonly target?: Authority | undefined;
  /** Plain requests only, without the query: a query often holds secrets. */
  readonly url?: string | undefined;
  readonly userAgent?: string | undefined;
  /** Of the trace that the client's `traceparent` names (W3C Trace Context), as 32 hexadecimal digits. */
  readonly traceId?: string | undefined;
  readonly rule?: string | undefined;
  /** Name of a rule that only reports, and would have refused this request. */
  readonly wouldDeny?: string | undefined;
  /** Name of a rule that only reports, and would have let this request pass. */
  readonly wouldAllow?: string | undefined;
  readonly limits: readonly string[];
  readonly route?: Route | undefined;
  /** The address that was dialled. */
  readonly address?: string | undefined;
  /** The status of the client's response; 0 when it had none. */
  readonly status: number;
  readonly failure?: FailureCode | undefined;
  /** Why, for the log only; never sent to a client. */
  readonly detail?: string | undefined;
  /**
   * From the client, and to it. Of a tunnel: everything behind the CONNECT and its 200. Of a plain request: the bodies as
   * far as they were passed on, without heads, trailers and the chunked coding, and after a 101 what the other protocol
   * moved besides. Responses of the proxy itself count nothing.
   */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /**
   * All bytes of the request on both connections, with heads, framing, and what this proxy answered itself. Counted where
   * neither connection carries several requests at once, and not for a CONNECT that found no connection.
   */
  readonly wire?: WireBytes | undefined;
  /** How the tunnel ended. */
  readonly end?: RelayEnd | undefined;
  readonly timings: Readonly<Partial<Record<TimedStep, number>>>;
  /** What the hooks of a program have kept with the request; in no log. */
  readonly state?: RequestState | undefined;
}

/** Bytes on the connections of a request; inside TLS, where there is TLS. */
export interface WireBytes {
  readonly clientRead: number;
  readonly clientWritten: number;
  readonly upstreamRead: number;
  readonly upstreamWritten: number;
}
