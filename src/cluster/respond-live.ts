import type { ShownAccount, Ways, WhyAnswer, WhyQuestion } from '../admin/controlled-proxy.ts';
import type { RouteMode } from '../contracts/routing.ts';
import type { ProcessMeasures } from '../observe/process-measures.ts';
import type { RequestCounts } from '../observe/request-counter.ts';
import type { StepPart } from '../observe/request-steps.ts';
import type { Total, TotalsBy, TotalsWindow } from '../observe/traffic-totals.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { type LiveQuery, type LiveResponse, toSent } from './live-messages.ts';

/** What a worker is asked about. */
export interface AskedWorker {
  readonly sessions: Pick<Sessions, 'snapshot' | 'endAll' | 'endedAfter' | 'endedCount'>;
  setRate(limit: string, rate: number): boolean;
  setMode(mode: RouteMode, untilMs: number | undefined): void;
  readonly counts: RequestCounts;
  why(question: WhyQuestion): Promise<WhyAnswer>;
  ways(): Ways;
  measure(): Promise<ProcessMeasures>;
  accounts(): Promise<readonly ShownAccount[]>;
  steps(id: string): readonly StepPart[];
  totals(by: TotalsBy, window: TotalsWindow): readonly Total[];
  /** As LoopDelay.readMs. */
  readDelayMs(): number;
}

/** In a worker: what its requests in progress are. */
export async function respondLive(query: LiveQuery, worker: AskedWorker): Promise<LiveResponse> {
  const { queryId } = query;
  const { sessions, setRate, counts, readDelayMs } = worker;
  switch (query.type) {
    case 'end':
      return { queryId, type: 'end', found: sessions.endAll(new Set(query.ids), query.reason) };
    case 'set-rate':
      return { queryId, type: 'set-rate', found: setRate(query.limit, query.rate) };
    case 'set-mode':
      worker.setMode(query.state.mode, query.state.untilMs);
      return { queryId, type: 'set-mode' };
    case 'ways':
      return { queryId, type: 'ways', ways: worker.ways() };
    case 'accounts':
      return { queryId, type: 'accounts', accounts: await worker.accounts() };
    case 'steps':
      return { queryId, type: 'steps', steps: worker.steps(query.id) };
    case 'totals':
      return { queryId, type: 'totals', totals: worker.totals(query.by, query.window) };
    case 'why':
      return { queryId, type: 'why', answer: await worker.why(query.about) };
    case 'measure':
      return { queryId, type: 'measure', measures: await worker.measure() };
    case 'list': {
      const { endedAfter } = query;
      const ended = endedAfter === undefined ? [] : sessions.endedAfter(endedAfter).map(toSent);
      const requests = sessions.snapshot().map(({ step, heldBy, record }) => ({ step, heldBy, ...toSent(record) }));
      const { endedCount } = sessions;
      return { queryId, type: 'list', requests, ended, endedCount, counts, loopDelayMs: readDelayMs() };
    }
  }
}
