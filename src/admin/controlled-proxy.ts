import type { ShownSetting } from '../config/provenance.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import type { ModeState, RouteMode } from '../contracts/routing.ts';
import type { LimitState, StoreState } from '../limits/limit-state.ts';
import type { ProcessMeasures } from '../observe/process-measures.ts';
import type { RequestCounts, RuleKind } from '../observe/request-counter.ts';
import type { StepPart } from '../observe/request-steps.ts';
import type { Total, TotalsBy, TotalsWindow } from '../observe/traffic-totals.ts';
import type { LiveRequest } from '../sessions/sessions.ts';

/** Where a reader of ended requests stands: for each process, how many had ended when it read. */
export type EndedCursor = ReadonlyMap<number, number>;

/** What a look at all requests finds. */
export interface RequestsSeen {
  readonly live: readonly LiveRequest[];
  /** Those that have ended since the look that gave the cursor, at most the last 500 of each process, the latest first. */
  readonly ended: readonly ProxyRecord[];
  readonly cursor: EndedCursor;
  /** Of all processes together, since their start. */
  readonly counts: RequestCounts;
  /** Of the process that is busiest. */
  readonly loopDelayMs: number;
}

/** An upstream proxy, or a chain, as the API shows it. */
export interface ShownUpstream {
  readonly name: string;
  readonly state: 'up' | 'down';
  readonly downUntil?: string | undefined;
  readonly lastSeenAt?: string | undefined;
  readonly lastFailure?: string | undefined;
  /** How long the last connections to its first proxy took, the latest last. */
  readonly latencyMs: readonly number[];
}

/** Our account at an upstream proxy, or one that the configuration names, as the API shows it: never a secret. */
export interface ShownAccount {
  /** Name in the configuration. */
  readonly account?: string | undefined;
  readonly upstream?: string | undefined;
  readonly user?: string | undefined;
  readonly source?: string | undefined;
  readonly schemes?: readonly string[] | undefined;
  /** The proxy has rejected the secret, which is not sent there again until a person asks. */
  readonly isRejected?: boolean | undefined;
  /** When our Kerberos tickets run out. */
  readonly ticketsUntil?: string | undefined;
  /** Why nothing would be sent. */
  readonly problem?: string | undefined;
}

/** A rule of the configuration. */
export interface NamedRule {
  readonly name: string;
  readonly kind: RuleKind;
  /** Of a rule for routes: absent. */
  readonly verdict?: 'allow' | 'deny' | undefined;
}

/** The PAC, as the API shows it. */
export interface ShownPac {
  readonly state: 'none' | 'system-proxies' | 'script' | 'unreachable';
  readonly source?: string | undefined;
  readonly ageMs?: number | undefined;
  readonly lastError?: string | undefined;
}

/** Where requests go. */
export interface Ways {
  readonly upstreams: readonly ShownUpstream[];
  readonly pac: ShownPac;
}

/** The mode in force, and what else could be. */
export interface Modes extends ModeState {
  /** The configuration has nothing for others. Empty: a program's hook decides about routes. */
  readonly available: readonly RouteMode[];
  /** Whose requests go by it: with `exposed`, also those of other machines. */
  readonly serves: 'local' | 'exposed';
}

/** `from`: the address that the client would have; `user`: as if the password were right. */
export interface WhyQuestion {
  readonly url: string;
  readonly from: string;
  readonly user?: string | undefined;
  /** URL of the listener that the client would use. Default: the first. */
  readonly listener?: string | undefined;
}

/** `report`: JSON as `viaduct why --json` prints it; secrets are left out. */
export type WhyAnswer = { readonly report: string } | { readonly problem: string };

/** A proxy that the admin server shows and acts on: in this process, or in several. */
export interface ControlledProxy {
  readonly urls: readonly string[];
  readonly workers: number;
  /** Name of the proxy in `Via`. */
  readonly name: string;
  readonly relay: string;
  /** Requests and tunnels in progress. */
  readonly open: number | Promise<number>;
  /** `undefined`: of ended requests all that are kept; `live`: none. */
  look(after: EndedCursor | 'live' | undefined): RequestsSeen | Promise<RequestsSeen>;
  /** Ends requests; the reason is for their records. Returns how many were in progress. */
  end(ids: readonly string[], reason: string): number | Promise<number>;
  /** What its processes use together, and what is open in them without an owner. */
  measure(): Promise<ProcessMeasures>;
  limits(): Promise<readonly LimitState[]>;
  /** `undefined`: its limits are shared with no other instance. */
  readonly limitStore: StoreState | undefined;
  /** Bytes per second, until a reload. `false`: no bandwidth limit of this name has a rate. */
  setRate(limit: string, rate: number): boolean | Promise<boolean>;
  /** Its upstream proxies and its PAC; of several processes, as one of them sees the PAC. */
  ways(): Promise<Ways>;
  accounts(): Promise<readonly ShownAccount[]>;
  /** The first rules of each kind, in order. */
  readonly rules: readonly NamedRule[];
  /** What the steps of a request consisted of; nothing where that is forgotten. */
  steps(id: string): readonly StepPart[] | Promise<readonly StepPart[]>;
  totals(by: TotalsBy, window: TotalsWindow): readonly Total[] | Promise<readonly Total[]>;
  readonly modes: Modes;
  /** `untilMs` on the wall clock; `undefined`: until a reload. Rejected secrets may be tried again: a person asks. */
  setMode(mode: RouteMode, untilMs: number | undefined): void | Promise<void>;
  /** What would be decided about a URL, without sending anything but DNS queries. */
  why(question: WhyQuestion): Promise<WhyAnswer>;
}

/** What the program around the proxy can do; a program that embeds the proxy brings none of it. */
export interface ProxyOwner {
  /** Reads the configuration anew, as SIGHUP does. */
  reload?(): Promise<{ readonly applied: boolean; readonly message: string }>;
  /** Accepts no more and waits for open requests; `ends`: the process then ends, else it stays and answers here. */
  drain?(then: 'ends' | 'stays'): void;
  /** Makes one request, and gives the page that explains it; or why it cannot be made. */
  explain?(url: string): Promise<{ readonly page: string } | { readonly problem: string }>;
  /** Every setting in force, secrets masked. */
  settings?(): readonly ShownSetting[];
}
