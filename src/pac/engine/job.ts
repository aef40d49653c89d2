import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';
import { evaluationOf, type PacEvaluation, type RunResult } from './evaluation.ts';
import type { Fact } from './messages.ts';

export interface PacQuery {
  /** As the script sees them (script-url.ts). */
  readonly url: string;
  readonly host: string;
  /** Address of the client whose request is routed. Absent: the proxy asks for itself. */
  readonly client?: string;
  readonly signal: StopSignal;
  /** `lookups`: only calls that ask the network, and alerts. `calls`: all, which costs most of the time of a run. */
  readonly trace: 'calls' | 'lookups';
}

/** A script as the workers know it. */
export interface ScriptState {
  readonly id: number;
  readonly text: string;
  failed: { readonly failure: string; readonly untilMs: number } | undefined;
  /** Whether its last run was short: then a run that takes long is an exception, and may be stopped for others. */
  isQuick: boolean;
}

interface JobEvents {
  /** The job's deadline has passed. */
  expired(job: Job): void;
  /** The request was cancelled. */
  abandoned(job: Job): void;
  settled(job: Job): void;
}

/**
 * One evaluation, from the query to its result: any number of runs, each with more facts than the one before. The
 * scheduler makes it `queued` and `submitted`, the engine `resolving`, and `settle` ends it.
 */
export class Job {
  readonly query: PacQuery;
  readonly script: ScriptState;
  /** On the proxy's clock. */
  readonly untilMs: number;
  readonly wallMs: number;
  readonly facts = new Map<string, Fact>();
  state: 'queued' | 'submitted' | 'resolving' | 'settled' = 'queued';
  runs = 0;
  /** A run of it delayed others and was stopped for them: it runs again when no other job waits. */
  isPreempted = false;
  /** What it waits for while `resolving`; the failure at the deadline names it. */
  waitsFor = '';
  readonly evaluation: Promise<PacEvaluation>;
  /** Aborts the lookups of this job when it has been settled. */
  readonly #cancellation = new AbortController();
  readonly #clock: Clock;
  #timer: Disposable;
  #settle: (result: RunResult) => void = () => undefined;

  constructor(script: ScriptState, query: PacQuery, deadlineMs: number, clock: Clock, events: JobEvents) {
    this.query = query;
    this.script = script;
    const startedMs = clock.now();
    this.untilMs = startedMs + deadlineMs;
    this.wallMs = clock.wallMs();
    this.#clock = clock;
    this.#timer = clock.after(deadlineMs, () => events.expired(this));
    const onAbort = (): void => events.abandoned(this);
    query.signal.addEventListener('abort', onAbort);
    this.evaluation = new Promise((resolve) => {
      this.#settle = (result) => {
        this.#timer[Symbol.dispose]();
        query.signal.removeEventListener('abort', onAbort);
        this.#cancellation.abort();
        events.settled(this);
        resolve(evaluationOf(result, clock.now() - startedMs));
      };
    });
  }

  get signal(): AbortSignal {
    return this.#cancellation.signal;
  }

  /** Calls back after `graceMs`, unless the job has been settled by then. */
  startGrace(graceMs: number, onEnd: () => void): void {
    this.#timer = this.#clock.after(graceMs, onEnd);
  }

  /** Only the first call counts. */
  settle(result: RunResult): void {
    if (this.state === 'settled') return;
    this.state = 'settled';
    this.#settle(result);
  }
}
