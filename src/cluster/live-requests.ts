import type { ShownAccount, ShownUpstream, Ways, WhyAnswer, WhyQuestion } from '../admin/controlled-proxy.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import type { ModeState } from '../contracts/routing.ts';
import { type ProcessMeasures, sumOfMeasures } from '../observe/process-measures.ts';
import { noCounts, type RequestCounts, sumOfCounts } from '../observe/request-counter.ts';
import type { StepPart } from '../observe/request-steps.ts';
import { sumOfTotals, type Total, type TotalsBy, type TotalsWindow } from '../observe/traffic-totals.ts';
import type { LiveRequest } from '../sessions/sessions.ts';
import type { Clock } from '../util/clock.ts';
import {
  fromSent,
  fromSentLive,
  type LiveQuery,
  type LiveResponse,
  type Query,
  type SentRequest,
} from './live-messages.ts';

/** A worker that does not answer in this time is left out. */
const RESPONSE_MS = 5_000;
/** What would be decided may need a PAC and lookups. */
const WHY_MS = 35_000;

/** What is counted if none of the open requests ends any more: their bytes have passed. */
const withOpen = (counts: RequestCounts, open: readonly SentRequest[]): RequestCounts => ({
  ...counts,
  bytesUp: open.reduce((sum, { record }) => sum + record.bytesUp, counts.bytesUp),
  bytesDown: open.reduce((sum, { record }) => sum + record.bytesDown, counts.bytesDown),
});

/** One worker, as the primary asks it. Disposing leaves its questions without a reply. */
export interface LiveSession extends Disposable {
  receive(answer: LiveResponse): void;
}

/** For each worker, how many of its requests had ended. */
export type EndedCounts = ReadonlyMap<number, number>;

/** What all workers know of their requests. */
export interface SeenRequests {
  readonly live: readonly LiveRequest[];
  readonly ended: readonly ProxyRecord[];
  readonly cursor: EndedCounts;
  readonly counts: RequestCounts;
  readonly loopDelayMs: number;
}

/** In the primary: the requests in progress in all workers. */
export class LiveRequests {
  readonly #clock: Clock;
  readonly #workers = new Map<number, WorkerQueries>();
  #lastWorker = 0;
  /** What workers had counted when they were asked last, of those that are gone: sums never become smaller. */
  #countsOfGone = noCounts();
  #cpuSecondsOfGone = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  openSession(send: (query: LiveQuery) => void): LiveSession {
    const worker = new WorkerQueries(send, this.#clock);
    const key = ++this.#lastWorker;
    this.#workers.set(key, worker);
    return {
      receive: (answer) => worker.receive(answer),
      [Symbol.dispose]: () => {
        this.#workers.delete(key);
        this.#countsOfGone = sumOfCounts([this.#countsOfGone, worker.lastCounts]);
        this.#cpuSecondsOfGone += worker.lastCpuSeconds;
        worker[Symbol.dispose]();
      },
    };
  }

  /** Every request in progress, in no order, and those that have ended since `after`, the latest first. */
  async look(after: EndedCounts | 'live' | undefined): Promise<SeenRequests> {
    const cursor = new Map<number, number>();
    const answers = await this.#queryAll((key) =>
      after === 'live' ? { type: 'list' } : { type: 'list', endedAfter: after?.get(key) ?? 0 },
    );
    const silent = new Set(this.#workers.values());
    const lists = answers.flatMap(([key, answer]) => {
      if (answer.type !== 'list') return [];
      cursor.set(key, answer.endedCount);
      const worker = this.#workers.get(key);
      if (worker !== undefined) {
        worker.lastCounts = withOpen(answer.counts, answer.requests);
        silent.delete(worker);
      }
      return [answer];
    });
    const live = lists.flatMap(({ requests }) => requests.map(fromSentLive));
    const ended = lists.flatMap((list) => list.ended.map(fromSent));
    const endedMs = ({ startedAt, durationMs }: ProxyRecord) => startedAt.getTime() + durationMs;
    return {
      live,
      ended: ended.sort((one, other) => endedMs(other) - endedMs(one)),
      cursor,
      counts: sumOfCounts([
        this.#countsOfGone,
        ...lists.map(({ counts }) => counts),
        // One that is too busy to answer has counted no less than before.
        ...Array.from(silent, ({ lastCounts }) => lastCounts),
      ]),
      loopDelayMs: Math.max(0, ...lists.map(({ loopDelayMs }) => loopDelayMs)),
    };
  }

  /** Ends requests, in whichever worker they are; returns how many were in progress. */
  async end(ids: readonly string[], reason: string): Promise<number> {
    const answers = await this.#queryAll(() => ({ type: 'end', ids, reason }));
    return answers.reduce((sum, [, answer]) => sum + (answer.type === 'end' ? answer.found : 0), 0);
  }

  /** As `Limits.setRate` in every worker; false: none has such a limit. */
  async setRate(limit: string, rate: number): Promise<boolean> {
    const answers = await this.#queryAll(() => ({ type: 'set-rate', limit, rate }));
    return answers.some(([, answer]) => answer.type === 'set-rate' && answer.found);
  }

  /** In every worker. */
  async setMode(state: ModeState): Promise<void> {
    await this.#queryAll(() => ({ type: 'set-mode', state }));
  }

  /** As any worker answers: all have the same configuration. Rejects while there is none. */
  async why(about: WhyQuestion): Promise<WhyAnswer> {
    for (const worker of this.#workers.values()) {
      const answer = await worker.query({ type: 'why', about }, WHY_MS);
      if (answer?.type === 'why') return answer.answer;
    }
    throw new Error('no worker answers');
  }

  /** As one worker sees them: all have the same configuration, and rejections are known to all. */
  async accounts(): Promise<readonly ShownAccount[]> {
    const answers = await this.#queryAll(() => ({ type: 'accounts' }));
    const all = answers.flatMap(([, answer]) => (answer.type === 'accounts' ? [answer.accounts] : []));
    // One may have used proxies that others have not.
    return all.reduce((most, one) => (one.length > most.length ? one : most), []);
  }

  /** One worker knows the request. */
  async steps(id: string): Promise<readonly StepPart[]> {
    const answers = await this.#queryAll(() => ({ type: 'steps', id }));
    return answers.flatMap(([, answer]) => (answer.type === 'steps' ? answer.steps : []));
  }

  async totals(by: TotalsBy, window: TotalsWindow): Promise<readonly Total[]> {
    const answers = await this.#queryAll(() => ({ type: 'totals', by, window }));
    return sumOfTotals(answers.flatMap(([, answer]) => (answer.type === 'totals' ? [answer.totals] : [])));
  }

  /** The PAC as one worker sees it; an upstream proxy is down where one of them says so. */
  async ways(): Promise<Ways> {
    const answers = await this.#queryAll(() => ({ type: 'ways' }));
    const all = answers.flatMap(([, answer]) => (answer.type === 'ways' ? [answer.ways] : []));
    const byName = new Map<string, ShownUpstream>();
    for (const upstream of all.flatMap(({ upstreams }) => upstreams)) {
      const known = byName.get(upstream.name);
      if (known === undefined || (known.state === 'up' && upstream.state === 'down'))
        byName.set(upstream.name, upstream);
    }
    return { upstreams: [...byName.values()], pac: all[0]?.pac ?? { state: 'none' } };
  }

  /** All workers together. */
  async measure(): Promise<ProcessMeasures> {
    const answers = await this.#queryAll(() => ({ type: 'measure' }));
    const all = answers.flatMap(([key, answer]) => {
      if (answer.type !== 'measure') return [];
      const worker = this.#workers.get(key);
      if (worker !== undefined) worker.lastCpuSeconds = answer.measures.cpuSeconds;
      return [answer.measures];
    });
    const sum = sumOfMeasures(all);
    return { ...sum, cpuSeconds: sum.cpuSeconds + this.#cpuSecondsOfGone };
  }

  async #queryAll(questionFor: (worker: number) => Query): Promise<(readonly [number, LiveResponse])[]> {
    const asked = Array.from(
      this.#workers,
      async ([key, worker]) => [key, await worker.query(questionFor(key))] as const,
    );
    const answers = await Promise.all(asked);
    return answers.flatMap(([key, answer]) => (answer === undefined ? [] : [[key, answer] as const]));
  }
}

/** The questions that one worker has not answered yet. */
class WorkerQueries implements Disposable {
  readonly #send: (query: LiveQuery) => void;
  readonly #clock: Clock;
  readonly #pending = new Map<number, (answer: LiveResponse | undefined) => void>();
  #last = 0;
  /** As of its last answer. */
  lastCounts: RequestCounts = noCounts();
  lastCpuSeconds = 0;

  constructor(send: (query: LiveQuery) => void, clock: Clock) {
    this.#send = send;
    this.#clock = clock;
  }

  /** Resolves with `undefined` when the worker is gone or hangs. */
  async query(query: Query, withinMs: number = RESPONSE_MS): Promise<LiveResponse | undefined> {
    const queryId = ++this.#last;
    const answer = Promise.withResolvers<LiveResponse | undefined>();
    this.#pending.set(queryId, answer.resolve);
    using _timer = this.#clock.after(withinMs, () => answer.resolve(undefined));
    try {
      this.#send({ queryId, ...query });
      return await answer.promise;
    } finally {
      this.#pending.delete(queryId);
    }
  }

  receive(answer: LiveResponse): void {
    this.#pending.get(answer.queryId)?.(answer);
  }

  [Symbol.dispose](): void {
    for (const resolve of this.#pending.values()) resolve(undefined);
  }
}
