/** What the admin API sends. Unknown fields of a row are absent. */
export type Stage = 'identify' | 'admit' | 'route' | 'connect' | 'wait' | 'relay' | 'closed';

/** A live or closed request. */
export interface Row {
  readonly id: string;
  readonly kind: 'tunnel' | 'forward' | 'local' | 'malformed';
  readonly target: string;
  readonly method?: string;
  readonly url?: string;
  readonly client: string;
  readonly clientPort?: number;
  readonly clientName?: string;
  readonly user?: string;
  readonly listener?: string;
  /** What the client speaks. */
  readonly protocol?: string;
  /** TLS between the client and the proxy. */
  readonly tls?: string;
  /** `direct`, `direct_fallback` or the URLs of the upstream proxies in order, with a space between. */
  readonly route?: string;
  readonly rule?: string;
  readonly limits?: readonly string[];
  /** Name of the limit that holds it back now. */
  readonly heldBy?: string;
  readonly state: Stage;
  readonly startedAt: string;
  readonly ageMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Bytes a second over the last tick. */
  readonly rateUp: number;
  readonly rateDown: number;
  readonly status?: number;
  readonly failure?: string;
  readonly detail?: string;
  readonly end?: string;
  readonly address?: string;
  /** Milliseconds of each step. */
  readonly timings?: Readonly<Record<string, number>>;
}

export type Mode = 'pac' | 'direct' | 'proxy' | 'configured';

export interface Status {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly workers: number;
  readonly mode?: { readonly mode: Mode; readonly until?: string; readonly available: readonly Mode[] };
  readonly draining: boolean;
  readonly listeners: readonly string[];
  readonly relay: string;
  readonly now: string;
}

export interface Counters {
  readonly at: string;
  readonly open: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly rateUp: number;
  readonly rateDown: number;
  readonly requestsPerSecond: number;
  /** Since the start, by code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly loopDelayMs: number;
  /** How many rows each limit holds back now. */
  readonly heldBy: Readonly<Record<string, number>>;
}

export interface Snapshot {
  readonly status: Status;
  readonly counters: Counters;
  readonly tunnels: readonly Row[];
  readonly closed: readonly Row[];
}

export interface Change {
  readonly at: string;
  readonly counters: Counters;
  /** Rows that changed or are new. */
  readonly tunnels: readonly Row[];
  /** Rows that ended. */
  readonly closed: readonly Row[];
}

export interface LogLine {
  readonly at: string;
  readonly level: string;
  readonly message: string;
}

export interface Limit {
  readonly name: string;
  readonly kind: 'bandwidth' | 'tunnels' | 'requests' | 'quota';
  readonly per?: string;
  /** `both`: one budget for both. */
  readonly direction?: 'up' | 'down' | 'both';
  readonly priority?: string;
  readonly rate?: number | string;
  readonly burst?: number | string;
  /** How much of it is used, 0 to 1. */
  readonly level?: number;
  /** What has passed under it. */
  readonly bytes?: number;
  readonly refused?: number;
  readonly active?: number;
  readonly waiting?: number;
  readonly used?: number;
  readonly max?: number;
}

export interface Upstream {
  readonly name: string;
  readonly state: 'up' | 'down';
  readonly downUntil?: string;
  readonly lastSeenAt?: string;
  readonly lastFailure?: string;
  readonly latencyMs?: readonly number[];
}

export interface Pac {
  readonly source?: string;
  readonly state: string;
  readonly ageMs?: number;
  readonly lastError?: string;
}

export interface Account {
  /** Name in the configuration. */
  readonly account?: string;
  readonly upstream?: string;
  readonly user?: string;
  readonly source?: string;
  readonly schemes?: readonly string[];
  readonly isRejected?: boolean;
  readonly ticketsUntil?: string;
  /** Why nothing would be sent. */
  readonly problem?: string;
}

export interface Rule {
  readonly name: string;
  readonly kind: 'access' | 'report' | 'route';
  readonly verdict?: string;
  readonly hits: number;
  readonly lastHitAt?: string;
}

/** What a step of a request consisted of. */
export interface StepPart {
  readonly what: 'pac' | 'dns' | 'dial' | 'dial-failed' | 'tls' | 'route-failed' | 'first-byte';
  readonly about: string;
  /** Since the head of the request was read. */
  readonly startMs: number;
  readonly ms: number;
}

export interface Total {
  /** Absent: all that found no place among the keys. */
  readonly key?: string;
  readonly requests: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly failures: number;
}

export interface Setting {
  readonly path: string;
  readonly value: unknown;
  readonly origin: string;
}
