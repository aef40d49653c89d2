import type { ShownAccount, Ways, WhyAnswer, WhyQuestion } from '../admin/controlled-proxy.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import type { ModeState } from '../contracts/routing.ts';
import type { Hop, Route } from '../contracts/stages.ts';
import type { ProcessMeasures } from '../observe/process-measures.ts';
import type { RequestCounts } from '../observe/request-counter.ts';
import type { StepPart } from '../observe/request-steps.ts';
import type { Total, TotalsBy, TotalsWindow } from '../observe/traffic-totals.ts';
import type { LiveRequest } from '../sessions/sessions.ts';

/** What the primary asks of the requests in progress in a worker; each question is answered once, by `n`. */
export type LiveQuery = { readonly queryId: number } & Query;
export type Query =
  /** `endedAfter`: also the records of the requests that ended after so many others. */
  | { readonly type: 'list'; readonly endedAfter?: number }
  | { readonly type: 'end'; readonly ids: readonly string[]; readonly reason: string }
  | { readonly type: 'set-rate'; readonly limit: string; readonly rate: number }
  | { readonly type: 'set-mode'; readonly state: ModeState }
  | { readonly type: 'why'; readonly about: WhyQuestion }
  | { readonly type: 'ways' }
  | { readonly type: 'measure' }
  | { readonly type: 'accounts' }
  | { readonly type: 'steps'; readonly id: string }
  | { readonly type: 'totals'; readonly by: TotalsBy; readonly window: TotalsWindow };

export type LiveResponse =
  | {
      readonly queryId: number;
      readonly type: 'list';
      readonly requests: readonly SentRequest[];
      readonly ended: readonly SentRecord[];
      readonly endedCount: number;
      readonly counts: RequestCounts;
      readonly loopDelayMs: number;
    }
  | { readonly queryId: number; readonly type: 'end'; readonly found: number }
  | { readonly queryId: number; readonly type: 'set-rate'; readonly found: boolean }
  | { readonly queryId: number; readonly type: 'set-mode' }
  | { readonly queryId: number; readonly type: 'why'; readonly answer: WhyAnswer }
  | { readonly queryId: number; readonly type: 'ways'; readonly ways: Ways }
  | { readonly queryId: number; readonly type: 'measure'; readonly measures: ProcessMeasures }
  | { readonly queryId: number; readonly type: 'accounts'; readonly accounts: readonly ShownAccount[] }
  | { readonly queryId: number; readonly type: 'steps'; readonly steps: readonly StepPart[] }
  | { readonly queryId: number; readonly type: 'totals'; readonly totals: readonly Total[] };

/** A record as JSON can carry it: the channel between processes knows no dates. */
interface SentRecord {
  readonly startedMs: number;
  readonly record: Omit<ProxyRecord, 'startedAt'>;
}
export interface SentRequest extends SentRecord {
  readonly step: LiveRequest['step'];
  readonly heldBy?: string | undefined;
}

export function toSent({ startedAt, route, ...record }: ProxyRecord): SentRecord {
  return { startedMs: startedAt.getTime(), record: { ...record, route: route && withoutLogins(route) } };
}

/** A `Secret` would arrive as its dots. */
function withoutLogins(route: Route): Route {
  if (route.via === 'direct') return route;
  const without = ({ login: _login, ...hop }: Hop): Hop => hop;
  const [first, ...others] = route.hops;
  return { via: 'proxies', hops: [without(first), ...others.map(without)] };
}

export const fromSent = ({ startedMs, record }: SentRecord): ProxyRecord => ({
  ...record,
  startedAt: new Date(startedMs),
});

export const fromSentLive = ({ step, heldBy, ...sent }: SentRequest): LiveRequest => ({
  step,
  record: fromSent(sent),
  ...(heldBy !== undefined && { heldBy }),
});
